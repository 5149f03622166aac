/** Runs one job at a time; of those that wait, only the newest. */

export class Newest {
  private running: AbortController | undefined;
  private isWanted = false;

  /**
   * job: is told to stop by its signal. onError: called with what it throws, unless it was stopped.
   */
  constructor(
    private readonly job: (signal: AbortSignal) => Promise<void>,
    private readonly onError: (error: unknown) => void,
  ) {}

  /** Run the job, after the one that is running. stop: whether to stop that one. */
  request(stop: boolean): void {
    this.isWanted = true;
    if (stop) this.running?.abort();
    void this.run();
  }

  /** Stop the running job, and run none after it. */
  cancel(): void {
    this.isWanted = false;
    this.running?.abort();
  }

  private async run(): Promise<void> {
    if (this.running !== undefined) return;
    while (this.isWanted) {
      this.isWanted = false;
      this.running = new AbortController();
      const { signal } = this.running;
      try {
        await this.job(signal);
      } catch (error) {
        if (!signal.aborted) this.onError(error);
      }
    }
    this.running = undefined;
  }
}
