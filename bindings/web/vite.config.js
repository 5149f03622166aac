import { readdir, writeFile } from "node:fs/promises";

import { defineConfig } from "vite";

const OUT = new URL("build/page", import.meta.url).pathname;

/** Lists what the page needs without a network; WebGPU is kept when it was used. */
const listFiles = {
  name: "list-files",
  async closeBundle() {
    const assets = await readdir(`${OUT}/assets`);
    const needed = assets.filter((name) => !/asyncify|webgpu|^harness/.test(name));
    await writeFile(`${OUT}/files.json`, JSON.stringify(needed.map((name) => `assets/${name}`)));
  },
};

// Threads of WebAssembly need a page that is isolated from others.
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root: "page",
  base: "./",
  plugins: [listFiles],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    rollupOptions: { input: ["page/index.html", "page/harness.html"] },
  },
  worker: { format: "es" },
  server: { headers },
  preview: { headers },
});
