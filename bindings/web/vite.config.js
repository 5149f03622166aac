import { defineConfig } from "vite";

// Threads of WebAssembly need a page that is isolated from others.
const headers = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

export default defineConfig({
  root: "page",
  base: "./",
  build: {
    outDir: "../build/page",
    emptyOutDir: true,
    target: "es2022",
    rollupOptions: { input: ["page/index.html", "page/harness.html"] },
  },
  worker: { format: "es" },
  server: { headers },
  preview: { headers },
});
