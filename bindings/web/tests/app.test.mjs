/** An app that uses the packed package, built by Vite with the settings that the README gives. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";

import { PATIENCE, launch, serve } from "./browser.mjs";

const { HYPERGUIDE_APP: APP, HYPERGUIDE_PACKED: PACKED, HYPERGUIDE_MODELS: MODELS } = process.env;
const WEB = new URL("..", import.meta.url).pathname;

test("an app built by Vite enhances a picture in a worker", { timeout: PATIENCE }, async () => {
  await mkdir(`${APP}/node_modules/hyperguide`, { recursive: true });
  execFileSync("tar", ["-xzf", PACKED, "-C", `${APP}/node_modules/hyperguide`, "--strip-components=1"]);
  for (const name of ["onnxruntime-web", "onnxruntime-common", "vite"]) {
    await symlink(`${WEB}/node_modules/${name}`, `${APP}/node_modules/${name}`);
  }
  const readme = await readFile(`${WEB}/README.md`, "utf-8");
  const [settings] = readme.match(/^export default \{.*\};$/m);
  await writeFile(`${APP}/vite.config.mjs`, settings);
  await writeFile(`${APP}/index.html`, '<script type="module" src="main.js"></script>');
  await writeFile(
    `${APP}/main.js`,
    `import { load } from "hyperguide";
    const enhancer = await load("denoise-live.onnx");
    const { image, guidance } = await enhancer.enhance(new ImageData(48, 32));
    window.found = [image.width, guidance.values.length, enhancer.engine.device];`,
  );
  execFileSync(process.execPath, [`${WEB}/node_modules/vite/bin/vite.js`, "build"], { cwd: APP });
  const site = await serve([`${APP}/dist`, MODELS]);
  const browser = await launch();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(`${site.address}/index.html`);
    await page.waitForFunction("window.found");
    assert.deepEqual(await page.evaluate("window.found"), [48, 48 * 32, "wasm"]);
    assert.deepEqual(errors, []);
  } finally {
    await browser.close();
    site.server.close();
  }
});
