/** The worker: holds one model, and serves one call after the other. */

import { Network } from "./enhance.js";
import { HyperguideError } from "./errors.js";
import { Frames } from "./frames.js";
import type { Answer, Opened, Reply, Request, Sent } from "./messages.js";
import type { Picture } from "./pixels.js";

// What is used of a worker's global scope: its types cannot be loaded beside those of pages.
interface Scope {
  onmessage: ((event: MessageEvent<{ id: number; request: Request }>) => void) | null;
  postMessage(message: Reply, transfer?: Transferable[]): void;
}
const scope = globalThis as unknown as Scope;

let network: Network | undefined;
const streams = new Map<number, Frames>();
const stopped = new Set<number>();
let last: Promise<void> = Promise.resolve();

scope.onmessage = ({ data: { id, request } }) => {
  if (request.kind === "stop") {
    stopped.add(request.call);
    return;
  }
  last = last.then(async () => {
    try {
      const value = await serve(id, request);
      scope.postMessage({ id, value }, buffersOf(value));
    } catch (error) {
      const isOurs = error instanceof HyperguideError;
      scope.postMessage({ id, error: messageOf(error), isOurs });
    } finally {
      stopped.delete(id);
    }
  });
};

/** Tells how far a call is, and lets messages that stop it arrive. */
async function progress(id: number, share: number): Promise<void> {
  scope.postMessage({ id, share });
  await new Promise((resolve) => setTimeout(resolve));
  checkStopped(id);
}

/** The page has given the call up: what it throws is not shown. */
function checkStopped(id: number): void {
  if (stopped.has(id)) throw new HyperguideError("The call was stopped.");
}

async function serve(id: number, request: Exclude<Request, { kind: "stop" }>): Promise<Opened | Answer | undefined> {
  if (request.kind === "open") {
    network = await Network.open(request.content, request.where, request.options);
    return { info: network.info, engine: network.engine.info };
  }
  if (network === undefined) throw new HyperguideError("There is no model yet: load one first.");
  switch (request.kind) {
    case "enhance": {
      const begin = performance.now();
      if (stopped.has(id) && "close" in request.picture) request.picture.close();
      checkStopped(id);
      const picture = pixelsOf(request.picture);
      const frames = request.stream === undefined ? network : streams.get(request.stream);
      if (frames === undefined) throw new HyperguideError("The stream has ended: start another one.");
      const result = await frames.enhance(picture, request.dials, {
        tile: request.tile,
        progress: (share) => progress(id, share),
      });
      return { ...result, milliseconds: performance.now() - begin };
    }
    case "stream":
      streams.set(request.stream, new Frames(network, request.smoothing));
      return undefined;
    case "reset":
      streams.get(request.stream)?.reset();
      return undefined;
    case "end":
      streams.delete(request.stream);
      return undefined;
  }
}

/** Side of the parts in which pictures are drawn: browsers limit the size of a canvas. */
const PART = 2048;

function pixelsOf(sent: Sent): Picture {
  if (!("close" in sent)) return sent;
  const { width, height } = sent;
  const canvas = new OffscreenCanvas(Math.min(width, PART), Math.min(height, PART));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new HyperguideError("This browser gives no memory for the picture.");
  context.globalCompositeOperation = "copy";
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y += PART) {
    for (let x = 0; x < width; x += PART) {
      context.drawImage(sent, -x, -y);
      const [columns, rows] = [Math.min(PART, width - x), Math.min(PART, height - y)];
      const part = context.getImageData(0, 0, columns, rows).data;
      for (let row = 0; row < rows; row++) {
        const from = 4 * row * columns;
        data.set(part.subarray(from, from + 4 * columns), 4 * ((y + row) * width + x));
      }
    }
  }
  sent.close();
  return { data, width, height };
}

function buffersOf(value: Opened | Answer | undefined): Transferable[] {
  return value !== undefined && "picture" in value ? [value.picture.data.buffer] : [];
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
