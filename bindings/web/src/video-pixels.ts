/** Reads the pixels of a video. */

/**
 * The pixels of a frame, or of what a video element shows; undefined where the browser gives them
 * only to canvases.
 *
 * Without a GPU, Chromium keeps a copy of each frame that is drawn, hundreds of megabytes in all.
 */
export async function videoPixels(
  source: HTMLVideoElement | VideoFrame,
): Promise<ImageData | undefined> {
  if (typeof VideoFrame === "undefined") return undefined;
  const frame = source instanceof VideoFrame ? source : new VideoFrame(source);
  try {
    const { displayWidth: width, displayHeight: height, visibleRect } = frame;
    const isStraight = ((frame as { rotation?: number }).rotation ?? 0) === 0;
    if (!isStraight || visibleRect?.width !== width || visibleRect.height !== height) return undefined;
    const image = new ImageData(width, height);
    await frame.copyTo(image.data, { format: "RGBA", colorSpace: "srgb" });
    return image;
  } catch {
    return undefined; // this browser copies frames only as they are
  } finally {
    if (frame !== source) frame.close();
  }
}
