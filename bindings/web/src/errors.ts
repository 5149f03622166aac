/** What went wrong, in one sentence that says what, where and what to do. */
export class HyperguideError extends Error {
  override name = "HyperguideError";
}

/** A call was stopped by its `AbortSignal`. */
export function aborted(): DOMException {
  return new DOMException("The call was stopped.", "AbortError");
}
