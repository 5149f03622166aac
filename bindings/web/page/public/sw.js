/** Serves the page from a cache where there is no network. */

const CACHE = `hyperguide ${self.registration.scope}`;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  event.respondWith(answer(request));
});

/** Files in assets/ never change, as their names tell their content; others are asked for first. */
async function answer(request) {
  const kept = await find(request);
  if (kept !== undefined && request.url.includes("/assets/")) return kept;
  let response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (kept !== undefined) return kept;
    throw error;
  }
  // A disk may be full, and pages without a cache work all the same.
  if (response.status === 200) await keep(request, kept, response.clone()).catch(() => undefined);
  return response;
}

async function find(request) {
  try {
    return await (await caches.open(CACHE)).match(request, { ignoreVary: true });
  } catch {
    return undefined;
  }
}

async function keep(request, before, response) {
  const cache = await caches.open(CACHE);
  const isChanged =
    request.mode === "navigate" &&
    before !== undefined &&
    (await before.text()) !== (await response.clone().text());
  if (isChanged) {
    // The page's assets have other names now.
    for (const key of await cache.keys()) {
      if (key.url.includes("/assets/")) await cache.delete(key);
    }
  }
  await cache.put(request, response);
}
