/** Serves the page from a cache where there is no network. */

const CACHE = "hyperguide";

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

/** Files in assets/ never change, as their names tell their content; others are asked for first. */
async function answer(request) {
  const cache = await caches.open(CACHE);
  const isAsset = new URL(request.url).pathname.includes("/assets/");
  if (isAsset) {
    const kept = await cache.match(request);
    if (kept !== undefined) return kept;
  }
  try {
    const response = await fetch(request);
    if (response.ok) {
      if (request.mode === "navigate") await forgetOldAssets(cache, request, response.clone());
      await cache.put(request, response.clone());
    }
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreVary: true });
    if (kept !== undefined) return kept;
    throw error;
  }
}

/** If the page has changed, its assets have other names now. */
async function forgetOldAssets(cache, request, response) {
  const kept = await cache.match(request);
  if (kept === undefined || (await kept.text()) === (await response.text())) return;
  for (const key of await cache.keys()) {
    if (new URL(key.url).pathname.includes("/assets/")) await cache.delete(key);
  }
}
