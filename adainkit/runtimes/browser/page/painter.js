// The worker that paints: one job at a time, in the order in which they come, so that the page stays awake.
//
// A message is {job, verb, ...} and is answered by {job, result} or {job, trouble, values}; {job, share} tells how far it
// is. {stop: job} takes a job back: it is then answered by {job, stopped: true}.

import { Stylizer, Trouble } from "./adain.js";
import { bytesOf, loadEngine } from "./engine.js";
import { Picture } from "./picture.js";

const MOST = 1 << 28; // pixels of a picture that is opened, as in Python
const KEPT = 4; // opened pictures, each at one size,
const LARGE = 2e6; // of no more pixels than these
const HELD = 100; // files; whoever asks for one that is no longer there is told so, and sends it again
const styles = new Map();
const blobs = new Map();
const opened = new Map(); // "id size" -> Picture, the newest last
const stopped = new Set();
let number = 0;
let waiting = Promise.resolve();
let stylizer = null;

const verbs = { begin, open, learn, forget, paint };

addEventListener("message", ({ data }) => {
  if (data.stop) return stopped.add(data.stop);
  waiting = waiting.then(() => answer(data));
});

async function answer({ job, verb, ...values }) {
  const step = async (share) => {
    if (share !== undefined) postMessage({ job, share });
    await new Promise((resolve) => setTimeout(resolve)); // messages come in
    if (stopped.has(job)) throw new Trouble("stopped");
  };
  try {
    await step();
    postMessage({ job, result: await verbs[verb](values, step) });
  } catch (error) {
    if (error.key === "stopped") postMessage({ job, stopped: true });
    else if (error instanceof Trouble) postMessage({ job, trouble: error.key, values: error.values });
    else postMessage({ job, trouble: memory(error) ? "here.memory" : "here.broken", values: { why: String(error?.message ?? error) } });
  } finally {
    stopped.delete(job);
  }
}

function memory(error) {
  return error instanceof RangeError || /memory|alloc/i.test(String(error?.message ?? error));
}

/** Load the engine and the styles. */
async function begin({ wished, facts, tile }) {
  const bytes = await bytesOf("../presets.bin");
  const numbers = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  let at = 0;
  const next = (count) => numbers.subarray(at, at += count);
  for (const { name } of facts.presets) {
    const levels = facts.levels.map(({ channels }) => ({ mean: next(channels), std: next(channels) }));
    styles.set(name, { levels, colors: facts.palette ? { mean: next(3), covariance: next(9) } : null });
  }
  const engine = await loadEngine(wished, async ({ run }) => {
    stylizer = new Stylizer(facts, run, tile);
    await check(facts.check);
  });
  return { name: engine.name, threads: engine.threads, files: engine.files };
}

/** Paint a small picture of which the result is known. */
async function check({ width, height, style, close, result }) {
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
    const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
    return [8 * x, 10 * y, (x * y) % 256, 255][i % 4];
  });
  const output = await stylizer.paint(await stylizer.look(new Picture(data, 255, width, height)), styles.get(style));
  const expected = Uint8Array.from(atob(result), (letter) => letter.charCodeAt(0));
  const worst = output.reduce((most, value, i) => Math.max(most, Math.abs(value * 255 - expected[i])), 0);
  if (!(worst <= close + 0.5)) throw new Error(`results are wrong by ${worst} of 255`);
}

/** A new picture: its id and its size. */
async function open({ blob }) {
  const bitmap = await bitmapOf(blob);
  const { width, height } = bitmap;
  bitmap.close();
  number += 1;
  blobs.set(String(number), blob);
  if (blobs.size > HELD) blobs.delete(blobs.keys().next().value);
  return { id: String(number), width, height };
}

async function bitmapOf(blob) {
  const bitmap = await createImageBitmap(blob, { premultiplyAlpha: "none" }).catch(() => null); // upright, as EXIF says
  if (!bitmap) throw new Trouble("here.unreadable");
  const { width, height } = bitmap;
  if (width * height > MOST) throw new Trouble("here.large", { w: width, h: height });
  return bitmap;
}

async function decoded(blob) {
  const bitmap = await bitmapOf(blob);
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return new Picture(context.getImageData(0, 0, width, height).data, 255, width, height);
}

/** A picture at a size. */
async function sized(id, width, height) {
  const key = `${id} ${width} ${height}`;
  if (!blobs.has(id)) throw new Trouble("here.gone");
  const picture = opened.get(key) ?? (await decoded(blobs.get(id))).resized(width, height);
  opened.delete(key);
  if (width * height <= LARGE) opened.set(key, picture);
  if (opened.size > KEPT) opened.delete(opened.keys().next().value);
  return picture;
}

/** A painting becomes a style. */
async function learn({ name, blob }) {
  styles.set(name, await stylizer.encodeStyle(await decoded(blob)));
}

async function forget({ name }) { styles.delete(name); }

/** A picture at a size in a mix of styles, as a file. `mask`: a picture's id, or a file. */
async function paint({ id, size, parts, controls, mask, format, quality }, step) {
  const picture = await sized(id, ...size);
  const cover = await coverOf(mask, picture);
  const style = stylizer.blend(parts.map(({ name }) => found(name)), parts.map(({ weight }) => weight));
  const all = stylizer.tiles(picture, "encoder").length + stylizer.tiles(picture).length;
  let done = 0;
  const tell = () => step((done += 1) / all);
  const seen = await stylizer.look(picture, cover, tell);
  const output = await stylizer.paint(seen, style, {
    alpha: controls.alpha ?? 1, color: controls.preserve_color ?? "none", strength: controls.color_strength ?? 1,
    cover, step: tell,
  });
  return encoded(output, picture, format, quality);
}

function found(name) {
  if (!styles.has(name)) throw new Trouble("here.gone");
  return styles.get(name);
}

/** A mask as a plane; null where all of it is white. */
async function coverOf(mask, { width, height }) {
  if (!mask) return null;
  const cover = (await decoded(blobs.get(mask) ?? mask)).cover(width, height);
  return cover.every((each) => each === 1) ? null : cover;
}

async function encoded(output, { width, height, alpha }, format = "png", quality = undefined) {
  const image = new ImageData(width, height);
  const white = alpha && format === "jpeg"; // which has no transparency: a ground as the library's, not black
  for (let i = 0; i < width * height; i += 1) { // assignment rounds, halves to even
    const share = white ? alpha[i] : 1;
    for (let c = 0; c < 3; c += 1) image.data[4 * i + c] = (output[3 * i + c] * share + 1 - share) * 255;
    image.data[4 * i + 3] = alpha && !white ? alpha[i] * 255 : 255;
  }
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
  const type = `image/${format}`;
  const blob = await canvas.convertToBlob({ type, quality: quality === undefined ? undefined : quality / 100 });
  if (blob.type !== type) throw new Trouble("here.format", { format: format.toUpperCase() });
  return blob;
}
