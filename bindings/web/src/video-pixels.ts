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
    const read: string[] = [];
    const options = {
      get format(): VideoPixelFormat {
        read.push("format");
        return "RGBA";
      },
      colorSpace: "srgb",
    } as const;
    await frame.copyTo(image.data, options);
    return read.length > 0 ? image : undefined; // older browsers copy frames only as they are
  } catch {
    return undefined;
  } finally {
    if (frame !== source) frame.close();
  }
}
