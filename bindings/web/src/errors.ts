/** What went wrong, in one sentence that says what, where and what to do. */
export class HyperguideError extends Error {
  override name = "HyperguideError";
}
