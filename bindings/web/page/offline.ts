/** Keeps the page and what it loaded, so that it works without a network. */

/** How long to wait for the service worker on the first visit, in milliseconds. */
const PATIENCE = 3000;

/** Start keeping what is loaded from now on. Does nothing where browsers do not allow it. */
export async function keepForOffline(): Promise<void> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  const { serviceWorker } = navigator;
  try {
    await serviceWorker.register("./sw.js");
  } catch {
    return; // as in private windows
  }
  if (serviceWorker.controller !== null) return;
  await new Promise<void>((resolve) => {
    setTimeout(resolve, PATIENCE);
    serviceWorker.addEventListener("controllerchange", () => {
      resolve();
    });
  });
  // What was loaded before is asked for again, by way of the service worker.
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const ours = [document.baseURI, ...loaded].filter((name) => name.startsWith(location.origin));
  await Promise.allSettled(ours.map((name) => fetch(name, { cache: "force-cache" })));
}
