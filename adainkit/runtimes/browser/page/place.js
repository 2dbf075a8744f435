// Where pictures are painted: in this browser. What the page asks of the service's /v1, `ask` answers here, by a worker;
// nothing is sent anywhere. (The service's page has another file of this name.)

import { t } from "./strings.js";

export const LARGE = 0; // pixels from which a picture is a job, which tells how far it is
export const FINEST = 640; // the longest side of a preview
const MOST = 24e6; // pixels of a result: what lies in memory for them is 0.6 GB
const root = new URL("../", import.meta.url);
const worker = new Worker(new URL("./painter.js", import.meta.url), { type: "module" });
const jobs = new Map(); // number -> {settle, fail, progress}
const orders = new Map(); // id -> a picture on its way: {state, progress, result, stop, heard}
const sizes = new Map(); // id of a picture -> [width, height]
const saved = new Map(); // a person's own styles, by name
let last = 0;
let broken = false; // whether the worker could not be loaded

/** Have the worker do something. The promise is rejected by a `Refusal`, or by an AbortError. */
function post(verb, values, { signal, progress } = {}) {
  signal?.throwIfAborted();
  if (broken) return Promise.reject(new Refusal("here.broken", { why: "painter.js" }));
  last += 1;
  const job = last;
  signal?.addEventListener("abort", () => worker.postMessage({ stop: job }));
  return new Promise((settle, fail) => {
    jobs.set(job, { settle, fail, progress });
    worker.postMessage({ job, verb, ...values });
  });
}

worker.addEventListener("message", ({ data: { job, result, share, trouble, values, stopped } }) => {
  if (!jobs.has(job)) return; // given up when the worker failed
  const { settle, fail, progress } = jobs.get(job);
  if (share !== undefined) return progress?.(share);
  jobs.delete(job);
  if (stopped) fail(new DOMException("stopped", "AbortError"));
  else if (trouble) fail(new Refusal(trouble, values));
  else settle(result);
});
worker.addEventListener("error", () => {
  broken = true;
  for (const { fail } of jobs.values()) fail(new Refusal("here.broken", { why: "painter.js" }));
  jobs.clear();
});

class Refusal extends Error {
  constructor(key, values = {}, status = key === "here.gone" ? 404 : 422) {
    super(t(key, values));
    Object.assign(this, { key, values, status, remedy: t(`${key}.remedy`, values) });
  }
}

const facts = fetch(new URL("model.json", root)).then((response) => response.json());
const ready = begin();
ready.catch((error) => state("here.broken", null, error.values ?? { why: error.message })); // and whoever asks for something is told

async function begin() {
  state("here.loading");
  const wished = new URLSearchParams(location.search).get("engine") ?? "";
  const engine = await post("begin", { wished, facts: await facts, tile: 1024 });
  state("here.ready", engine);
  keep(engine);
  return engine;
}

/** What is said beside the name of the page. */
function state(key, engine, values = {}) {
  const words = { webgpu: "WebGPU", wasm: engine?.threads > 1 ? `WebAssembly × ${engine.threads}` : "WebAssembly" };
  const say = () => {
    const place = document.getElementById("here");
    place.dataset.state = key.split(".")[1];
    place.textContent = t(key, { ...values, engine: words[engine?.name] });
  };
  document.removeEventListener("languagechange", state.say);
  document.addEventListener("languagechange", say);
  state.say = say;
  say();
}

/** Keep all of it for visits without a network, the engine that was taken with it. */
async function keep(engine) {
  if (!navigator.serviceWorker) return;
  try {
    await navigator.serviceWorker.register(new URL("service-worker.js", root));
    const { active } = await navigator.serviceWorker.ready;
    const channel = new MessageChannel();
    channel.port1.onmessage = ({ data }) => { if (data.kept) state("here.offline", engine); };
    active.postMessage({ keep: engine.files }, [channel.port2]);
  } catch (error) {
    console.info("not kept for visits without a network:", error);
  }
}

/** The size at which a picture is painted in full. */
export function finalSize(width, height, controls) {
  const side = Number(controls.size) || Infinity;
  const share = Math.min(1, side / Math.max(width, height), Math.sqrt(MOST / (width * height)));
  return [width, height].map((each) => Math.max(1, Math.round(each * share)));
}

/** `fetch` for the page's own API. */
export async function ask(url, { method = "GET", body, signal } = {}) {
  const path = decodeURIComponent(url.pathname.slice(root.pathname.length)).split("/").slice(1);
  try {
    const found = await route(method, path, body, signal);
    if (found instanceof Response) return found;
    return new Response(found instanceof Blob ? found : JSON.stringify(found ?? null));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const told = { error: error.message, remedy: error.remedy ?? "" };
    return new Response(JSON.stringify(told), { status: error.status ?? 500 });
  }
}

async function route(method, [kind, id, what], body, signal) {
  if (kind === "controls") return { controls: (await facts).controls, films: false, live: false, formats: await formats() };
  if (kind === "styles" && method === "GET") return [...saved.values(), ...(await facts).presets];
  if (kind === "styles") return method === "POST" ? learn(body, signal) : forget(id);
  if (kind === "pictures" && what === "preview") return preview(id, JSON.parse(body), signal);
  if (kind === "pictures" && method === "POST") return open(body, signal);
  if (kind === "stylize") return order(body);
  if (kind === "jobs" && orders.has(id)) return job(method, orders.get(id), what);
  throw new Refusal("here.gone");
}

/** The formats that this browser writes. */
async function formats() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  return ["png", "jpeg", "webp"].filter((each) => canvas.toDataURL(`image/${each}`).startsWith(`data:image/${each}`));
}

async function learn(body, signal) {
  await ready;
  last += 1;
  const name = `own-${last}`;
  await post("learn", { name, blob: body.get("picture") }, { signal });
  saved.set(name, { name, label: body.get("label") ?? name, description: "", kind: "saved" });
  return saved.get(name);
}

function forget(name) {
  saved.delete(name);
  return post("forget", { name });
}

async function open(body, signal) {
  const picture = await post("open", { blob: body.get("picture") }, { signal });
  sizes.set(picture.id, [picture.width, picture.height]);
  return picture;
}

async function preview(id, { styles, controls, size, mask }, signal) {
  await ready;
  return post("paint", { id, size: finalSize(...sizeOf(id), { size }), parts: styles, controls, mask }, { signal });
}

function sizeOf(id) {
  if (!sizes.has(id)) throw new Refusal("here.gone");
  return sizes.get(id);
}

/** A picture at full size: a job, as the service has them. */
function order(body) {
  const wanted = readOrder(body);
  last += 1;
  const made = { id: String(last), state: "running", progress: 0, heard: () => {} };
  const stop = new AbortController();
  made.stop = () => stop.abort();
  orders.set(made.id, made);
  const progress = (share) => { made.progress = share; made.heard(); };
  const end = (values) => { Object.assign(made, values); made.heard(); };
  ready
    .then(() => post("paint", wanted, { signal: stop.signal, progress }))
    .then((result) => end({ state: "done", result }))
    .catch((error) => end(error.name === "AbortError" ? { state: "stopped" } : { state: "failed", error: error.message, remedy: error.remedy }));
  return told(made);
}

function readOrder(body) {
  const [id, quality, weights] = [body.get("picture_id"), body.get("quality"), body.getAll("weight").map(Number)];
  return {
    id,
    size: finalSize(...sizeOf(id), { size: body.get("size") }),
    parts: body.getAll("style").map((name, i) => ({ name, weight: weights[i] })),
    controls: {
      alpha: Number(body.get("alpha")), preserve_color: body.get("preserve_color"), color_strength: Number(body.get("color_strength")),
    },
    mask: body.get("mask"), format: body.get("format"), quality: quality === null ? undefined : Number(quality),
  };
}

function told({ id, state: now, progress, error, remedy }) { return { id, state: now, progress, error, remedy }; }

function job(method, made, what) {
  if (method === "DELETE") return made.stop();
  if (what === "result") {
    orders.delete(made.id);
    return made.result;
  }
  if (what !== "events") return told(made);
  const encoder = new TextEncoder();
  return new Response(new ReadableStream({
    start(controller) {
      made.heard = () => {
        controller.enqueue(encoder.encode(`data: ${JSON.stringify(told(made))}\n\n`));
        if (made.state !== "running") controller.close();
      };
      made.heard();
    },
    cancel() { made.heard = () => {}; },
  }));
}
