/** Keeps the page and what it loads, so that it works without a network. */

/** Start keeping. Does nothing where browsers do not allow it. */
export function keepForOffline(): void {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator)) return;
  keep().catch(() => undefined); // as in private windows
}

async function keep(): Promise<void> {
  const { serviceWorker } = navigator;
  await serviceWorker.register("./sw.js");
  if (serviceWorker.controller !== null) return; // it has kept all since the page began
  await new Promise<void>((resolve) => {
    serviceWorker.addEventListener("controllerchange", () => {
      resolve();
    });
  });
  // What was loaded before it came is asked for again, by way of it.
  const list = await fetch("./files.json");
  const assets = ((await list.json()) as string[]).map((name) => new URL(name, document.baseURI).href);
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const ours = [document.baseURI, ...loaded].filter((name) => name.startsWith(location.origin));
  await Promise.allSettled([...assets, ...ours].map((name) => fetch(name, { cache: "force-cache" })));
}
