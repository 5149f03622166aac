/** The page: pictures and cameras, dials, the map, and what is saved. */

import { HyperguideError, type Call, type Enhancer, type Result } from "../src/index.js";
import { Camera } from "./camera.js";
import { Slider, element } from "./elements.js";
import { discKernel, motionKernel } from "./kernels.js";
import { mapFile } from "./map-file.js";
import { MapView } from "./map-view.js";
import { Models, type Task } from "./models.js";
import { Newest } from "./newest.js";
import { keepForOffline } from "./offline.js";
import { cssGradient } from "./palette.js";
import { Viewer } from "./viewer.js";
import { Work } from "./work.js";

/** Pixels of a picture that takes so long that it is not finished if another one is wanted. */
const LARGE = 1_000_000;
/** How long dials rest before a large picture is enhanced again, in milliseconds. */
const REST = 250;
/** Pixels above which browsers run out of memory. */
const MOST_PIXELS = 100_000_000;
const LONGEST_SIDE = 16_384;

const factor = (value: number): string => value.toFixed(2);
const short = (value: number): string => String(Number(value.toPrecision(3)));

const viewer = new Viewer();
const models = new Models();
const work = new Work(() => {
  pictures.cancel();
  closeCamera();
});
const pictures = new Newest(enhancePicture, showError);
const error = element("error", HTMLElement);
const webcam = element("webcam", HTMLButtonElement);

const again = (): void => {
  hideError();
  update();
};
const strength = new Slider("strength", factor, again);
const scale = new Slider("scale", factor, again);
const blurShape = element("blur-shape", HTMLSelectElement);
const blurSize = new Slider("blur-size", (value) => `${value} px`, again);
const blurAngle = new Slider("blur-angle", (value) => `${value}°`, again);
const brushValue = new Slider("brush-value", short, () => undefined);
const brushSize = new Slider("brush-size", (value) => `${value} %`, () => undefined);
const map = new MapView(
  element("map", HTMLCanvasElement),
  () => ({ value: brushValue.value, size: brushSize.value }),
  again,
  (value) => {
    element("reading", HTMLElement).textContent = short(value);
  },
);

/** The picture's name without suffix. */
let name = "picture";
let hasPicture = false;
let isExample = false;
let camera: Camera | undefined;
let last: Result | undefined;
let lastTask: Task = "denoise";
/** Of what the user asked to see; what comes after another choice is dropped. */
let choice = 0;
let rest: ReturnType<typeof setTimeout> | undefined;
/** The model whose map is described. */
let described: Enhancer | undefined;

function task(): Task {
  const chosen = document.querySelector("#tasks :checked");
  return (chosen as HTMLInputElement).value as Task;
}

function call(): Call {
  return {
    strength: strength.value,
    guidanceScale: scale.value,
    ...map.dials,
    ...(task() === "deblur" && { kernel: kernel() }),
  };
}

function kernel(): NonNullable<Call["kernel"]> {
  return blurShape.value === "disc"
    ? discKernel(blurSize.value)
    : motionKernel(blurSize.value, blurAngle.value);
}

/** Enhance what is shown again; a camera's next frame takes the dials anyway. */
function update(): void {
  enableButtons();
  clearTimeout(rest);
  if (camera !== undefined || !hasPicture) return;
  if (pixels() <= LARGE) {
    pictures.request(false);
    return;
  }
  rest = setTimeout(() => {
    if (camera === undefined) pictures.request(true);
  }, REST);
}

/** Begin to show something else. Gives whether that is still wanted. */
function choose(): () => boolean {
  const mine = ++choice;
  return () => mine === choice;
}

/** What a promise gives, unless the signal comes before. */
function untilStopped<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => {
      reject(signal.reason as Error);
    });
    promise.then(resolve, reject);
  });
}

function pixels(): number {
  return viewer.before.width * viewer.before.height;
}

async function enhancePicture(signal: AbortSignal): Promise<void> {
  const end = work.begin("Loading the model");
  try {
    const wanted = task();
    const enhancer = await untilStopped(models.get(wanted, false), signal);
    if (wanted !== task()) return; // that was asked for, too
    describe(enhancer);
    work.say("Enhancing");
    const onProgress = (share: number): void => {
      work.progress(share);
    };
    const result = await enhancer.enhance(viewer.before, { ...call(), signal, onProgress });
    viewer.showResult(result.image);
    showResult(enhancer, result);
  } finally {
    end();
  }
}

function showResult(enhancer: Enhancer, result: Result, rate?: number): void {
  last = result;
  lastTask = enhancer.info.task;
  const { guidance } = result;
  if (guidance !== undefined) map.show(guidance, guidance.meaning);
  const { device, why } = enhancer.engine;
  const numbers = element("numbers", HTMLElement);
  numbers.ariaLive = rate === undefined ? "polite" : "off";
  numbers.textContent = [
    `${result.image.width} × ${result.image.height}`,
    `${Math.round(result.milliseconds)} ms`,
    ...(rate === undefined ? [] : [`${rate.toFixed(1)} frames/s`]),
    `${device === "webgpu" ? "WebGPU" : "WebAssembly"} (${why})`,
  ].join(" · ");
  enableButtons();
}

/** Show what the map of a model means. */
function describe(enhancer: Enhancer): void {
  if (enhancer === described) return;
  described = enhancer;
  const { name: quantity, unit, minimum, maximum, scaleMeaning } = enhancer.info.guidance;
  const title = quantity.replaceAll("_", " ");
  element("map-title", HTMLElement).textContent = title.charAt(0).toUpperCase() + title.slice(1);
  element("map", HTMLElement).setAttribute("aria-label", `Map of the ${title}, which you can paint on`);
  element("least", HTMLElement).textContent = short(minimum);
  element("most", HTMLElement).textContent = short(maximum);
  element("unit", HTMLElement).textContent = unit;
  element("scale-note", HTMLElement).textContent = scaleMeaning;
  brushValue.setRange(minimum, maximum, (maximum - minimum) / 100);
  brushValue.value = minimum;
}

function enableButtons(): void {
  element("save", HTMLButtonElement).disabled = last === undefined;
  element("save-map", HTMLButtonElement).disabled = last?.guidance === undefined;
  element("undo", HTMLButtonElement).disabled = !map.isPainted;
  element("clear", HTMLButtonElement).disabled = !map.isPainted;
}

// Sources

/** Gives whether the picture is shown: something else may have been chosen since. */
async function openPicture(content: Blob, title: string, isWanted = choose()): Promise<boolean> {
  hideError();
  let picture: ImageBitmap;
  try {
    picture = await createImageBitmap(content);
  } catch {
    throw new HyperguideError(
      `${title} is no picture that this browser shows: give a JPEG, PNG, WebP or AVIF file.`,
    );
  }
  if (!isWanted()) {
    picture.close();
    return false;
  }
  const { width, height } = picture;
  if (Math.max(width, height) > LONGEST_SIDE || width * height > MOST_PIXELS) {
    picture.close();
    throw new HyperguideError(
      `${title} has ${width} x ${height} pixels, which is too large for a browser: use the Python package.`,
    );
  }
  pictures.cancel();
  closeCamera();
  last = undefined;
  hasPicture = false;
  try {
    viewer.showInput(picture);
  } finally {
    picture.close();
  }
  map.resize(width, height);
  name = title.replace(/\.[^.]*$/, "");
  hasPicture = true;
  isExample = false;
  update();
  return true;
}

async function openExample(): Promise<void> {
  const isWanted = choose();
  const chosen = task();
  const address = new URL(`examples/${chosen}.jpg`, document.baseURI);
  const response = await fetch(address).catch(() => undefined);
  if (response?.ok !== true) {
    throw new HyperguideError("The example cannot be loaded: check the network, or open a picture.");
  }
  if (!isWanted()) return;
  if (await openPicture(await response.blob(), `example-${chosen}.jpg`, isWanted)) isExample = true;
}

async function openCamera(): Promise<void> {
  hideError();
  closeCamera();
  const isWanted = choose();
  webcam.ariaPressed = "true";
  let opened: Camera | undefined;
  try {
    opened = await withWork("Starting the camera", Camera.open());
    if (!isWanted()) return;
    const enhancer = await withWork("Loading the model", models.get(task(), true));
    if (!isWanted()) return;
    pictures.cancel();
    camera = opened;
    describe(enhancer);
    await opened.run(enhancer, call, ({ frame, result, rate }) => {
      const { width, height } = viewer.before;
      if (!hasPicture || width !== frame.width || height !== frame.height) {
        map.resize(frame.width, frame.height);
      }
      viewer.showFrame(frame, result.image);
      showResult(enhancer, result, rate);
      [name, hasPicture, isExample] = ["camera", true, false];
    });
  } finally {
    opened?.close();
    if (isWanted()) closeCamera();
  }
}

/** Turn the camera off, also one that is being turned on. */
function closeCamera(): void {
  if (webcam.ariaPressed === "true") choose();
  camera?.close();
  camera = undefined;
  webcam.ariaPressed = "false";
}

async function withWork<Value>(text: string, job: Promise<Value>): Promise<Value> {
  const end = work.begin(text);
  try {
    return await job;
  } finally {
    end();
  }
}

// Errors

function showError(reason: unknown): void {
  if (reason instanceof DOMException && reason.name === "AbortError") return;
  const message = reason instanceof Error ? reason.message : String(reason);
  error.textContent = reason instanceof HyperguideError ? message : `This failed: ${message}`;
  error.hidden = false;
}

function hideError(): void {
  error.hidden = true;
}

/** Run what the user asked for; show what it throws. */
function act(job: () => Promise<unknown>): () => void {
  return () => {
    job().catch(showError);
  };
}

function openFirst(files: FileList | undefined): void {
  const file = files?.[0];
  if (file !== undefined) act(() => openPicture(file, file.name))();
}

// Saving

function save(content: Blob, title: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = title;
  link.click();
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
  }, 60_000);
}

async function savePicture(): Promise<void> {
  const content = await new Promise<Blob | null>((resolve) => {
    viewer.after.toBlob(resolve);
  });
  if (content === null) throw new HyperguideError("There is not enough memory to save this picture.");
  save(content, `${name}-${lastTask}.png`);
}

async function saveMap(): Promise<void> {
  const guidance = last?.guidance;
  if (guidance !== undefined) save(await mapFile(guidance, guidance.meaning), `${name}-map.png`);
}

// Events

element("tasks", HTMLElement).addEventListener("change", () => {
  element("blur", HTMLElement).hidden = task() !== "deblur";
  hideError();
  map.clear();
  map.forget();
  if (webcam.ariaPressed === "true") {
    closeCamera();
    act(openCamera)();
  } else if (isExample || !hasPicture) {
    act(openExample)();
  } else {
    pictures.request(true);
  }
});

blurShape.addEventListener("change", () => {
  blurAngle.isShown = blurShape.value === "motion";
  update();
});

const file = element("file", HTMLInputElement);
element("open", HTMLElement).addEventListener("click", () => {
  file.click();
});
file.addEventListener("change", () => {
  openFirst(file.files ?? undefined);
  file.value = ""; // so that the same file can be opened again
});
element("example", HTMLElement).addEventListener("click", act(openExample));
webcam.addEventListener("click", () => {
  if (webcam.ariaPressed === "true") closeCamera();
  else act(openCamera)();
});
element("save", HTMLElement).addEventListener("click", act(savePicture));
element("save-map", HTMLElement).addEventListener("click", act(saveMap));
element("undo", HTMLElement).addEventListener("click", () => {
  map.undo();
});
element("clear", HTMLElement).addEventListener("click", () => {
  map.clear();
});

const frame = element("frame", HTMLElement);
window.addEventListener("dragover", (event) => {
  event.preventDefault();
  frame.classList.add("is-dragged");
});
window.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) frame.classList.remove("is-dragged");
});
window.addEventListener("drop", (event) => {
  event.preventDefault();
  frame.classList.remove("is-dragged");
  openFirst(event.dataTransfer?.files);
});
window.addEventListener("paste", (event) => {
  openFirst(event.clipboardData?.files);
});

element("bar", HTMLElement).style.background = cssGradient();
keepForOffline();
act(openExample)();
