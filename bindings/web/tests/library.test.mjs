/** The library in a headless browser, against the Python package (see cases.py). */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { PATIENCE, launch, serve } from "./browser.mjs";

const CASES = process.env.HYPERGUIDE_CASES;
const MODELS = process.env.HYPERGUIDE_MODELS;
const PAGE = new URL("../build/page", import.meta.url).pathname;

const cases = JSON.parse(await readFile(`${CASES}/cases.json`, "utf-8"));
let browser, site;

before(async () => {
  site = await serve([PAGE, MODELS, CASES]);
  browser = await launch();
});

after(async () => {
  await browser.close();
  site.server.close();
});

/** A page with the library as `hyperguide`, and the errors that nobody caught there. */
async function open(address = site.address, inBrowser = browser) {
  const page = await inBrowser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(`${address}/harness.html`);
  await page.waitForFunction("window.hyperguide");
  return { page, errors };
}

/** Enhances cases on a page: the largest difference from Python, of pictures and of maps. */
function worst(page, list, options) {
  return page.evaluate(
    async ([cases, options]) => {
      const bytes = async (name) => (await fetch(`/${name}`)).arrayBuffer();
      const enhancer = await hyperguide.load(`/${cases[0].model}`, options);
      let picture = 0;
      let map = 0;
      for (const { name, width, height, dials: numbers, maps, tile } of cases) {
        const image = new ImageData(new Uint8ClampedArray(await bytes(`${name}.in`)), width, height);
        const dials = { ...numbers };
        for (const [dial, [columns, rows]] of Object.entries(maps)) {
          const values = new Float32Array(await bytes(`${name}.${dial}`));
          dials[dial] = { values, width: columns, height: rows };
        }
        const result = await enhancer.enhance(image, { ...dials, ...(tile && { tile }) });
        const expected = new Uint8ClampedArray(await bytes(`${name}.out`));
        expected.forEach((value, i) => {
          picture = Math.max(picture, Math.abs(value - result.image.data[i]));
        });
        if (result.guidance !== undefined) {
          const known = new Float32Array(await bytes(`${name}.map`));
          const { minimum, maximum } = result.guidance.meaning;
          known.forEach((value, i) => {
            const error = Math.abs(value - result.guidance.values[i]) / (maximum - minimum);
            map = Math.max(map, error);
          });
        }
      }
      const { engine } = enhancer;
      enhancer.close();
      return { picture, map, engine };
    },
    [list, options],
  );
}

const tiled = cases.filter(({ tile }) => tile !== undefined);
const whole = cases.filter(({ tile }) => tile === undefined);
const models = [...new Set(cases.map(({ model }) => model))];
const fp32 = models.filter((model) => !model.includes("int8"));

for (const model of fp32) {
  test(`${model} gives what Python does, within one level`, async () => {
    const { page, errors } = await open();
    const own = whole.filter((one) => one.model === model);
    const [none, others] = [0, 1].map((k) => own.filter((c) => (c.dials.strength === 0) === (k === 0)));
    const { picture, map, engine } = await worst(page, others, {});
    assert.ok(picture <= 1, `off by ${picture} levels`);
    assert.ok(map < 5e-4, `map off by ${map}`);
    assert.equal(engine.device, "wasm");
    assert.match(engine.why, /no WebGPU/);
    assert.equal((await worst(page, none, {})).picture, 0);
    assert.deepEqual(errors, []);
    await page.close();
  });
}

test("int8 files run, a few levels off at most", async () => {
  const { page } = await open();
  for (const model of models.filter((name) => !fp32.includes(name))) {
    const { picture } = await worst(page, whole.filter((one) => one.model === model), {});
    assert.ok(picture <= 6, `${model} is off by ${picture} levels`);
  }
  await page.close();
});

test("WebGPU gives the same, emulated on the CPU", { timeout: PATIENCE }, async () => {
  const emulated = await launch([
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--enable-features=Vulkan",
  ]);
  try {
    const { page } = await open(site.address, emulated);
    const small = whole.filter(({ width, dials }) => width === 64 && !("guidance" in dials));
    const live = small.filter(({ model }) => model === "denoise-live.onnx");
    const { picture, map, engine } = await worst(page, live, { device: "webgpu" });
    assert.equal(engine.device, "webgpu");
    assert.ok(picture <= 1 && map < 1e-3, `off by ${picture} levels, map by ${map}`);
    const hazy = small.filter(({ model }) => model === "dehaze-fast.onnx");
    const fallback = await worst(page, hazy.slice(0, 1), {});
    assert.deepEqual(fallback.engine.device, "wasm");
    assert.match(fallback.engine.why, /WebGPU lacks/);
  } finally {
    await emulated.close();
  }
});

test("WebGPU's operators are those of ONNX Runtime's own table", async () => {
  const known = await readFile(new URL("../src/webgpu-operators.ts", import.meta.url), "utf-8");
  const table = await readFile(
    new URL("../node_modules/onnxruntime-web/docs/webgpu-operators.md", import.meta.url),
    "utf-8",
  );
  const rows = table.split("\n").filter((line) => line.startsWith("| ") && !line.includes(" Operator "));
  const theirs = new Set(rows.map((line) => line.split("|")[1].trim()));
  const ours = [...known.matchAll(/"([A-Z][\w ]+?) ?"/g)].flatMap(([, names]) => names.split(" "));
  assert.ok(ours.length > 40);
  assert.deepEqual(ours.filter((name) => name !== "Constant" && !theirs.has(name)), []);
});

test("a page that is not isolated has one thread, and says so", async () => {
  const open_site = await serve([PAGE, MODELS, CASES], false);
  const { page } = await open(open_site.address);
  const { engine, picture } = await worst(page, cases.filter((c) => c.model === "denoise-live.onnx").slice(0, 1), {});
  assert.equal(engine.threads, 1);
  assert.match(engine.why, /not cross-origin isolated/);
  assert.ok(picture <= 1);
  await page.close();
  open_site.server.close();
});

/** What a call on a page says when it fails; undefined if it does not. */
function refusal(page, call) {
  return page.evaluate(`(async () => {
    try { ${call} } catch (error) { return [error.name, error.message]; }
  })()`);
}

test("bad input is refused in one sentence", async () => {
  const { page } = await open();
  const model = "new Uint8Array(await (await fetch('/denoise-live.onnx')).arrayBuffer())";
  const image = "new ImageData(40, 30)";
  const dials = (text) => `const e = await hyperguide.load("/denoise-live.onnx");
    try { await e.enhance(${image}, ${text}); } finally { e.close(); }`;
  for (const [call, part] of [
    ["await hyperguide.load('/absent.onnx')", /absent.onnx cannot be loaded: the server says 404/],
    ["await hyperguide.load(new Uint8Array(100))", /no model file or is damaged/],
    ["await hyperguide.load(new TextEncoder().encode('GIF89a'))", /no model file or is damaged/],
    [`const b = ${model}; b[b.length >> 1] ^= 1; await hyperguide.load(b)`, /changed since its export/],
    [`const b = ${model}; await hyperguide.load(b.subarray(0, 1000))`, /damaged/],
    ["await hyperguide.load('/denoise-live.onnx', { device: 'webgpu' })", /no WebGPU: use/],
    [dials("{ strength: -1 }"), /strength must be a number of at least 0, not -1/],
    [dials("{ strength: NaN }"), /strength must be a number/],
    [dials("{ tile: 0 }"), /tile must be a positive whole number/],
    [dials("{ guidance: '0.1' }"), /must be a number, or a map/],
    [dials("{ guidance: 0.1, guidanceMix: () => 1 }"), /cannot be given to the worker/],
    ["await hyperguide.load('/denoise-live.onnx', { threads: 0 })", /threads must be a whole number/],
    [dials("{ guidance: 3 }"), /outside 0 to 0.31.*noise_level|noise_level.*outside 0 to 0.31/],
    [
      dials("{ guidance: { values: new Float32Array(4), width: 2, height: 3 } }"),
      /of 2x3 has 4 values: give one for each of its pixels/,
    ],
    [
      dials("{ kernel: { values: Float32Array.of(1), width: 1, height: 1 } }"),
      /takes no kernel/,
    ],
    [
      "const e = await hyperguide.load('/denoise-live.onnx'); await e.enhance(new Blob(['no picture']))",
      /no picture that the browser can show/,
    ],
    ["const e = await hyperguide.load('/denoise-live.onnx'); await e.stream(1)", /below 1, not 1/],
    [
      "const e = await hyperguide.load('/denoise-gray-fast.onnx');" +
        "await e.enhance(new ImageData(Uint8ClampedArray.of(1, 2, 3, 255), 1))",
      /takes gray pictures/,
    ],
  ]) {
    const [name, message] = (await refusal(page, call)) ?? [];
    assert.equal(name, "HyperguideError", `${call}: ${message}`);
    assert.match(message, part);
    assert.match(message, /^[^\n]{10,400}\.$/);
  }
  await page.close();
});

test("pictures of every kind that browsers show are taken, and alpha is kept", async () => {
  const { page } = await open();
  const found = await page.evaluate(async () => {
    const enhancer = await hyperguide.load("/denoise-live.onnx");
    const canvas = new OffscreenCanvas(40, 30);
    const context = canvas.getContext("2d");
    context.fillStyle = "rgb(200, 100, 50)";
    context.fillRect(0, 0, 40, 30);
    const blob = await canvas.convertToBlob();
    const bitmap = await createImageBitmap(blob);
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    const sizes = [];
    for (const source of [canvas, blob, bitmap, frame, context.getImageData(0, 0, 40, 30)]) {
      const { image, guidance } = await enhancer.enhance(source);
      sizes.push([image.width, image.height, guidance.values.length, image.data[0] > 150]);
    }
    frame.close();
    const translucent = new ImageData(8, 8);
    translucent.data.forEach((_, i, data) => (data[i] = i % 4 === 3 ? i : 90));
    const before = translucent.data.filter((_, i) => i % 4 === 3);
    const { image } = await enhancer.enhance(translucent);
    enhancer.close();
    return [sizes, before.every((value, i) => value === image.data[4 * i + 3])];
  });
  assert.deepEqual(found, [Array(5).fill([40, 30, 1200, true]), true]);
  await page.close();
});

test("in a stream maps are smoothed where nothing moves, and the newest frame wins", async () => {
  const { page } = await open();
  const found = await page.evaluate(async () => {
    const enhancer = await hyperguide.load("/denoise-fast.onnx");
    const frame = (seed) => {
      const image = new ImageData(96, 64);
      let state = seed;
      image.data.forEach((_, i, data) => {
        state = (state * 1103515245 + 12345) % 2147483648;
        data[i] = i % 4 === 3 ? 255 : 120 + (state / 2147483648) * 40;
      });
      return image;
    };
    const change = async (smoothing) => {
      const stream = await enhancer.stream(smoothing);
      const [one, two] = [await stream.enhance(frame(1)), await stream.enhance(frame(2))];
      await stream.close();
      const steps = one.guidance.values.map((v, i) => Math.abs(v - two.guidance.values[i]));
      return steps.reduce((sum, v) => sum + v, 0);
    };
    const stream = await enhancer.stream();
    // Canvases are read later than pixels, but the frame that came last wins all the same.
    const sources = [3, 4, 5, 6].map((seed) => new OffscreenCanvas(96, 64)).concat(frame(7));
    sources.slice(0, 4).forEach((canvas) => canvas.getContext("2d"));
    const many = await Promise.all(sources.map((source) => stream.enhance(source)));
    const result = [(await change(0.8)) / (await change(0)), many.map((r) => r !== undefined)];
    enhancer.close();
    return result;
  });
  const [ratio, served] = found;
  assert.ok(Math.abs(ratio - 0.2) < 0.05, `maps change by ${ratio} of what they do without smoothing`);
  assert.ok(served.at(-1) && served.filter(Boolean).length < 5, String(served));
  await page.close();
});

for (const one of tiled) {
  test(`${one.model} gives in tiles what Python does, within one level`, async () => {
    const { page } = await open();
    const { picture, map } = await worst(page, [one], {});
    assert.ok(picture <= 1, `off by ${picture} levels`);
    assert.ok(map < 1e-3, `map off by ${map}`);
    await page.close();
  });
}

test("pictures in tiles tell how far they are, and stop when told", async () => {
  const { page } = await open();
  const [shares, name, size] = await page.evaluate(async () => {
    const enhancer = await hyperguide.load("/derain-fast.onnx");
    const shares = [];
    const image = new ImageData(200, 100);
    await enhancer.enhance(image, { tile: 64, onProgress: (share) => shares.push(share) });
    const control = new AbortController();
    const stop = () => control.abort();
    const name = await enhancer
      .enhance(image, { tile: 64, signal: control.signal, onProgress: stop })
      .then(() => "none", (error) => error.name);
    const next = await enhancer.enhance(new ImageData(16, 16));
    enhancer.close();
    return [shares, name, next.image.width];
  });
  assert.equal(shares.length, 8);
  assert.equal(shares.at(-1), 1);
  assert.ok(shares.every((share, i) => i === 0 || share > shares[i - 1]));
  assert.equal(name, "AbortError");
  assert.equal(size, 16);
  await page.close();
});

test("calls fail when the model is closed, whenever they began", async () => {
  const { page } = await open();
  const names = await page.evaluate(async () => {
    const enhancer = await hyperguide.load("/denoise-live.onnx");
    const stream = await enhancer.stream();
    const nameOf = (call) => call.then(() => "none", (error) => error.name);
    const canvas = new OffscreenCanvas(90, 60);
    canvas.getContext("2d");
    const calls = [new ImageData(90, 60), canvas].map((image) => nameOf(enhancer.enhance(image)));
    enhancer.close();
    calls.push(nameOf(enhancer.enhance(new ImageData(9, 6))), nameOf(stream.enhance(new ImageData(9, 6))));
    return Promise.all(calls);
  });
  assert.deepEqual(names, Array(4).fill("AbortError"));
  await page.close();
});

test("a signal ends loading and calls with its own reason", async () => {
  const { page } = await open();
  const reasons = await page.evaluate(async () => {
    const reason = (promise) => promise.then(() => "none", String);
    const signal = AbortSignal.abort("enough");
    const enhancer = await hyperguide.load("/denoise-live.onnx");
    return [
      await reason(hyperguide.load("/denoise-live.onnx", { signal })),
      await reason(enhancer.enhance(new ImageData(8, 8), { signal })),
      await reason(enhancer.enhance(new ImageData(8, 8), { signal: new AbortController().signal })),
    ];
  });
  assert.deepEqual(reasons, ["enough", "enough", "none"]);
  await page.close();
});

test("gray pictures stay gray, and wide ones whole", async () => {
  const { page } = await open();
  const [isGray, ends] = await page.evaluate(async () => {
    const enhancer = await hyperguide.load("/denoise-live.onnx");
    const image = new ImageData(64, 48);
    for (let i = 0; i < image.data.length; i += 4) {
      image.data.fill(100 + ((i * 7919) % 61), i, i + 3);
      image.data[i + 3] = 255;
    }
    const { data } = (await enhancer.enhance(image)).image;
    const isGray = data.every((value, i) => i % 4 === 3 || value === data[i - (i % 4)]);
    const canvas = new OffscreenCanvas(5000, 2);
    const context = canvas.getContext("2d");
    context.fillStyle = "rgb(9, 80, 200)";
    context.fillRect(0, 0, 5000, 2);
    const wide = (await enhancer.enhance(canvas, { strength: 0 })).image.data;
    enhancer.close();
    return [isGray, [...wide.slice(0, 4), ...wide.slice(-4)]];
  });
  assert.ok(isGray);
  assert.deepEqual(ends, [9, 80, 200, 255, 9, 80, 200, 255]);
  await page.close();
});
