// The engine: ONNX Runtime Web on the graphics card (WebGPU) or the processor (WASM), behind `run(graph, inputs)`.

const GRAPHS = ["encoder", "maps", "decoder"];
const here = (path) => new URL(path, import.meta.url).href;

/** Its files, which a visit without a network needs. */
const FILES = {
  wasm: ["../ort/ort.wasm.min.js", "../ort/ort-wasm-simd-threaded.js", "../ort/ort-wasm-simd-threaded.wasm"],
  webgpu: ["../ort/ort.webgpu.min.js", "../ort/ort-wasm-simd-threaded.asyncify.js", "../ort/ort-wasm-simd-threaded.asyncify.wasm"],
};

/** Bytes of a file of the page's own, unpacked if they are gzipped (a server may have done it). */
export async function bytesOf(path) {
  const response = await fetch(here(path));
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Whether there is a graphics card, and not a program that plays one. */
async function hasCard() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter ?? false);
}

/** Load the engine that is `wished` ("webgpu", "wasm"), or else the one that suits this computer. `run(graph, inputs)`
 * gives tensors by name; `name`, `threads` and `files` say what it is. `check(engine)` throws where its results are wrong:
 * not every driver of a graphics card is without faults. */
export async function loadEngine(wished, check) {
  const order = wished ? [wished] : (await hasCard()) ? ["webgpu", "wasm"] : ["wasm"];
  for (const name of order) {
    try {
      const engine = await load(name);
      await check(engine);
      return engine;
    } catch (error) {
      if (name === order.at(-1)) throw error;
      console.info(`${name} is not to be had here:`, error);
    }
  }
}

async function load(name) {
  const [main, mjs, wasm] = FILES[name].map(here);
  const ort = await import(main);
  ort.env.wasm.wasmPaths = { mjs, wasm };
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  ort.env.logLevel = "error";
  const options = { executionProviders: [name], graphOptimizationLevel: "all", logSeverityLevel: 3 };
  const sessions = {};
  for (const graph of GRAPHS) {
    sessions[graph] = await ort.InferenceSession.create(await bytesOf(`../${graph}.onnx.gz`), options);
  }
  const kinds = { Float32Array: "float32", BigInt64Array: "int64" };
  const run = async (graph, inputs) => {
    const feeds = Object.fromEntries(Object.entries(inputs).map(([key, { data, dims }]) => (
      [key, new ort.Tensor(kinds[data.constructor.name], data, dims)])));
    const found = await sessions[graph].run(feeds);
    return Object.fromEntries(Object.entries(found).map(([key, { data, dims }]) => [key, { data, dims }]));
  };
  return { name, run, threads: ort.env.wasm.numThreads, files: FILES[name].map(here) };
}
