/** A headless Chromium with the built page, served as it needs to be. */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

import { chromium } from "playwright-core";

/** A busy machine may take long; in milliseconds. */
export const PATIENCE = 600_000;

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

/**
 * Serve folders: the first that has a file gives it.
 *
 * @param {string[]} folders
 * @param {boolean} isIsolated whether pages may use threads
 */
export async function serve(folders, isIsolated = true) {
  const server = createServer(async (request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname));
    for (const folder of folders) {
      try {
        const content = await readFile(join(folder, path));
        response.setHeader("Content-Type", TYPES[extname(path)] ?? "application/octet-stream");
        if (isIsolated) {
          response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
          response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
        }
        response.end(content);
        return;
      } catch {
        // the next folder may have it
      }
    }
    response.statusCode = 404;
    response.end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${server.address().port}` };
}

/** @param {string[]} more arguments of Chromium */
export function launch(more = []) {
  return chromium.launch({
    timeout: PATIENCE,
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", ...more],
  });
}
