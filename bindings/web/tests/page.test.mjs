/** The page in a headless browser. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";

import { PATIENCE, launch, serve } from "./browser.mjs";

const PAGE = new URL("../build/page", import.meta.url).pathname;
const AXE = createRequire(import.meta.url).resolve("axe-core");
const MODELS = process.env.HYPERGUIDE_MODELS;
/** The page as it is served elsewhere, if it is: see `hyperguide demo`. */
const ADDRESS = process.env.HYPERGUIDE_PAGE;
/** Folder for what is saved from the page. */
const SAVED = process.env.HYPERGUIDE_SAVED;

let browser, site, address;

before(async () => {
  site = await serve([PAGE, `${MODELS}/..`]);
  address = ADDRESS ?? `${site.address}/index.html`;
  browser = await launch(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]);
});

after(async () => {
  await browser.close();
  site.server.close();
});

/** The page with its first example enhanced, and what went wrong on it. */
async function open(options = {}, inBrowser = browser) {
  const context = await inBrowser.newContext({ serviceWorkers: "block", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  await page.goto(address);
  await finished(page);
  return { page, errors, close: () => context.close() };
}

/** Wait until the picture is enhanced, and nothing more is done. */
async function finished(page) {
  await page.waitForFunction("!document.getElementById('save').disabled");
  await page.waitForFunction("document.getElementById('sheet').ariaBusy !== 'true'");
}

/** The pixels of a canvas. */
const pixels = (page, id) =>
  page.evaluate((id) => {
    const canvas = document.getElementById(id);
    return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data];
  }, id);

/** Turn a slider as a user does. */
const turn = (page, id, value) =>
  page.locator(`#${id}`).evaluate((slider, value) => {
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  }, String(value));

const textOf = (page, id) => page.locator(`#${id}`).textContent();

test("the page opens with an example, and says what ran where and what the map means", async () => {
  const { page, errors, close } = await open();
  assert.match(await textOf(page, "numbers"), /^451 × 300 · \d+ ms · WebAssembly \(.*threads?\)$/);
  assert.match(await textOf(page, "unit"), /standard deviation/);
  assert.equal(await textOf(page, "most"), "0.314");
  assert.notDeepEqual(await pixels(page, "after"), await pixels(page, "before"));
  await turn(page, "strength", 0);
  await finished(page);
  assert.deepEqual(await pixels(page, "after"), await pixels(page, "before"));
  assert.deepEqual(errors, []);
  await close();
});

test("each task has its example, model and map", async () => {
  const { page, errors, close } = await open();
  for (const [task, title] of [["derain", /^Rain /], ["dehaze", "Scene depth"], ["deblur", "Noise level"]]) {
    await page.locator(`input[value=${task}]`).check({ force: true });
    await page.waitForFunction("document.getElementById('sheet').ariaBusy === 'true'");
    await finished(page);
    assert.match(await textOf(page, "map-title"), new RegExp(title));
    assert.equal(await page.locator("#blur").isVisible(), task === "deblur");
    assert.notDeepEqual(await pixels(page, "after"), await pixels(page, "before"));
  }
  assert.deepEqual(errors, []);
  await close();
});

test("what is painted on the map changes the picture there", async () => {
  const { page, close } = await open();
  const untouched = await pixels(page, "after");
  const { x, y, width, height } = await page.locator("#map").boundingBox();
  await page.mouse.move(x + width / 4, y + height / 2);
  await page.mouse.down(); // the brush has the least value: no noise
  await page.mouse.up();
  await finished(page);
  const [now, input] = [await pixels(page, "after"), await pixels(page, "before")];
  const at = (share) => 4 * (150 * 451 + Math.round(451 * share));
  const change = (a, b, from) => a.slice(from, from + 16).reduce((sum, v, i) => sum + Math.abs(v - b[from + i]), 0);
  assert.ok(change(now, input, at(1 / 4)) < change(untouched, input, at(1 / 4)) / 2);
  assert.equal(change(now, untouched, at(0.9)), 0);
  await page.locator("#undo").click();
  await finished(page);
  assert.deepEqual(await pixels(page, "after"), untouched);
  await close();
});

test("the keyboard is enough: tasks, divider, painting", async () => {
  const { page, close } = await open();
  await page.locator("#split").focus();
  await page.keyboard.press("End");
  assert.equal(await page.locator("#split").getAttribute("aria-valuetext"), "100 % before");
  const cut = await page.locator("#before").evaluate((canvas) => getComputedStyle(canvas).clipPath);
  assert.match(cut, /^inset\(0px 0(px|%) 0px 0px\)$|^inset\(0px calc\(0% \+ 0px\)|^inset\(0px\)$/);
  await page.locator("#map").focus();
  for (const key of ["ArrowRight", "Shift+ArrowDown", "Space"]) await page.keyboard.press(key);
  assert.ok(await page.locator("#undo").isEnabled());
  assert.match(await textOf(page, "reading"), /^\d/);
  await page.locator("#tasks :checked").focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("#tasks :checked").inputValue(), "derain");
  await close();
});

test("pictures and maps are saved", async () => {
  const { page, close } = await open({ acceptDownloads: true });
  for (const [button, name] of [["save", "example-denoise-denoise.png"], ["save-map", "example-denoise-map.png"]]) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`#${button}`).click()]);
    assert.equal(download.suggestedFilename(), name);
    if (SAVED !== undefined) await download.saveAs(`${SAVED}/${name}`);
  }
  if (SAVED !== undefined) await writeFile(`${SAVED}/after.rgba`, Buffer.from(await pixels(page, "after")));
  await close();
});

/** Drop a file on the page, made there by `script`. */
const drop = (page, script) =>
  page.evaluate(`(async () => {
    const data = new DataTransfer();
    data.items.add(await (${script})());
    window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
  })()`);

const picture = (width, height) => `async () => {
  const canvas = new OffscreenCanvas(${width}, ${height});
  canvas.getContext("2d").fillRect(0, 0, 9, 9);
  return new File([await canvas.convertToBlob({ type: "image/png" })], "large.png");
}`;

test("what cannot be opened is said in one sentence, and the page goes on", async () => {
  const { page, errors, close } = await open();
  await drop(page, `async () => new File(["no picture"], "notes.txt")`);
  await page.locator("#error").waitFor();
  assert.match(await textOf(page, "error"), /^notes.txt is no picture that this browser shows: give/);
  await drop(page, picture(40, 30));
  await page.waitForFunction("document.getElementById('numbers').textContent.startsWith('40 × 30')");
  assert.ok(await page.locator("#error").isHidden());
  assert.deepEqual(errors, []);
  await close();
});

test("a picture of 50 megapixels is enhanced in tiles, with progress, until it is cancelled", async () => {
  const { page, errors, close } = await open();
  await drop(page, picture(8200, 6100));
  await page.waitForFunction("document.getElementById('progress').value > 0");
  assert.match(await textOf(page, "doing"), /^Enhancing … \d+ %, \d+ s left$/);
  await page.locator("#cancel").click();
  await page.waitForFunction("document.getElementById('work').hidden");
  assert.ok(await page.locator("#save").isDisabled()); // there is no result
  await page.locator("#example").click();
  await page.waitForFunction("document.getElementById('before').width === 451");
  await finished(page);
  assert.deepEqual(errors, []);
  await close();
});

test("a camera is enhanced until it is turned off, and its last frame stays", async () => {
  const { page, errors, close } = await open();
  await page.locator("#webcam").click();
  await page.waitForFunction("/frames.s/.test(document.getElementById('numbers').textContent)");
  assert.equal(await page.locator("#webcam").getAttribute("aria-pressed"), "true");
  await turn(page, "strength", 0);
  await page.waitForFunction(() => {
    const [before, after] = ["before", "after"].map((id) => {
      const canvas = document.getElementById(id);
      return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    });
    return before.length === 4 * 640 * 480 && before.every((value, i) => value === after[i]);
  });
  await page.locator("#webcam").click();
  await page.waitForFunction("document.getElementById('webcam').ariaPressed === 'false'");
  await turn(page, "strength", 1);
  await finished(page);
  assert.match(await textOf(page, "numbers"), /^640 × 480 · \d+ ms · Web/);
  assert.deepEqual(errors, []);
  await close();
});

test("a camera that is refused or missing is said in one sentence", async () => {
  for (const [more, sentence] of [
    [["--use-fake-device-for-media-stream", "--deny-permission-prompts"], /^The camera was refused: allow it/],
    [
      ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=0"],
      /^There is no camera: connect one/,
    ],
  ]) {
    const other = await launch(more);
    try {
      const { page } = await open({}, other);
      await page.locator("#webcam").click();
      await page.locator("#error").waitFor();
      assert.match(await textOf(page, "error"), sentence);
      assert.equal(await page.locator("#webcam").getAttribute("aria-pressed"), "false");
    } finally {
      await other.close();
    }
  }
});

test("of pictures that are chosen one after the other, the last one is shown", async () => {
  const { page, errors, close } = await open();
  for (const task of ["derain", "dehaze", "derain"]) {
    await page.locator(`input[value=${task}]`).check({ force: true });
  }
  await drop(page, picture(50, 30)); // while models and examples load
  await page.waitForFunction("document.getElementById('numbers').textContent.startsWith('50 × 30')");
  await finished(page);
  assert.equal(await page.locator("#before").getAttribute("width"), "50");
  assert.match(await textOf(page, "map-title"), /^Rain /);
  assert.ok(await page.locator("#error").isHidden());
  assert.deepEqual(errors, []);
  await close();
});

test("a camera that is not wanted any more stays off", async () => {
  const { page, errors, close } = await open();
  await page.evaluate(() => {
    const { mediaDevices } = navigator;
    const open = mediaDevices.getUserMedia.bind(mediaDevices);
    window.media = [];
    mediaDevices.getUserMedia = async (wanted) => {
      const media = await open(wanted);
      window.media.push(media);
      return media;
    };
  });
  for (let click = 0; click < 3; click++) await page.locator("#webcam").click(); // on, off, on
  await page.waitForFunction("/frames.s/.test(document.getElementById('numbers').textContent)");
  await page.locator("#webcam").click();
  await page.waitForFunction(
    "media.length > 0 && media.every((one) => one.getTracks().every((track) => track.readyState === 'ended'))",
  );
  assert.deepEqual(errors, []);
  await close();
});

test("it works without a network once it was loaded", async () => {
  const { page, close } = await open({ serviceWorkers: "allow" });
  await page.waitForFunction(async () => {
    const caches = await Promise.all((await window.caches.keys()).map((name) => window.caches.open(name)));
    const kept = (await Promise.all(caches.map((cache) => cache.keys()))).flat().map(({ url }) => url);
    return ["index", ".css", "worker", ".wasm", "denoise-fast.onnx", "denoise.jpg"].every((part) =>
      kept.some((url) => url.includes(part)),
    );
  });
  await page.context().setOffline(true);
  await page.reload();
  await finished(page);
  assert.match(await textOf(page, "numbers"), /^451 × 300/);
  await page.locator("input[value=dehaze]").check({ force: true });
  await page.locator("#error").waitFor();
  assert.match(await textOf(page, "error"), /cannot be loaded: check/);
  await close();
});

for (const colorScheme of ["light", "dark"]) {
  test(`it has names, contrast and room for all, on a phone too (${colorScheme})`, async () => {
    const { page, close } = await open({ viewport: { width: 390, height: 844 }, colorScheme });
    assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 390);
    await page.addScriptTag({ path: AXE });
    const { violations } = await page.evaluate("axe.run()");
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
    await close();
  });
}

const isLong = process.env.HYPERGUIDE_LONG === "1";

/** Resident memory of the browser's processes in MB. */
async function resident() {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const sizes = await Promise.all(
    processInfo.map(async ({ id }) => {
      const pages = (await readFile(`/proc/${id}/statm`, "utf-8")).split(" ")[1];
      return (Number(pages) * 4096) / 1e6;
    }),
  );
  await session.detach();
  return sizes.reduce((sum, size) => sum + size, 0);
}

test("a camera of a minute takes no more memory", { skip: !isLong, timeout: PATIENCE }, async () => {
  const { page, errors, close } = await open();
  await page.locator("#webcam").click();
  await page.waitForFunction("/frames.s/.test(document.getElementById('numbers').textContent)");
  const used = [];
  for (let part = 0; part < 7; part++) {
    used.push(await resident());
    if (part < 6) await page.waitForTimeout(10_000);
  }
  console.log(`${await textOf(page, "numbers")}; MB: ${used.map(Math.round).join(", ")}`);
  // The first seconds fill what is used again.
  assert.ok(used.at(-1) < 1.1 * used[2], `memory grew: ${used}`);
  assert.deepEqual(errors, []);
  await close();
});
