// Keeps the page for visits without a network. In front of this, the export writes VERSION and FILES: the page's own files,
// which are kept at once. The engine's, of which a browser needs one set or the other, are kept when the page says which.

const PREFIX = `adainkit ${new URL("./", location).pathname} `; // a host may have several of these pages
const CACHE = PREFIX + VERSION;
const OWN = new Set(["./", ...FILES].map((file) => new URL(file, location).href));

// With these a page may use several threads, on hosts as well that cannot send them: from the second visit on.
const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    const anew = (file) => new Request(file, { cache: "no-cache" });
    await cache.addAll(FILES.map(anew));
    for (const file of await keptEngine()) await cache.add(anew(file)).catch(() => {}); // of another release of the engine
  })());
});

/** The engine's files of the page that this one replaces: who has been without a network stays so. */
async function keptEngine() {
  const found = new Set();
  for (const name of await caches.keys()) {
    if (!name.startsWith(PREFIX) || name === CACHE) continue;
    for (const { url } of await (await caches.open(name)).keys()) if (url.includes("/ort/")) found.add(url);
  }
  return found;
}

addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
    await clients.claim();
  })());
});

addEventListener("message", (event) => {
  const [port] = event.ports;
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    for (const url of event.data.keep) if (!(await cache.match(url))) await cache.add(url);
    port.postMessage({ kept: true });
  })());
});

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !isOwn(url)) return;
  event.respondWith(answer(event.request));
});

/** A host may have other pages below this one's folder: they are none of its business. */
function isOwn(url) {
  const path = url.origin + url.pathname;
  return OWN.has(path) || path.startsWith(new URL("ort/", location).href);
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const found = (await cache.match(request, { ignoreSearch: true })) ?? (await fetch(request));
  if (!found.ok) return found;
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(ISOLATED)) headers.set(name, value);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
