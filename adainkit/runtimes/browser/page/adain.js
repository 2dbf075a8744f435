// What adainkit.runtimes.lean computes, number for number: statistics, blends, tiles, colors. It knows no engine and no
// page: `run(graph, inputs)` runs one of the three graphs, on tensors {data, dims}.

import { Moments, cellMeans, mixed } from "./moments.js";
import { bringToPalette, colorsOf, keepLuma, matchColor } from "./colors.js";

/** One thing that went wrong and what it is about, under the name of its text in strings.js. */
export class Trouble extends Error {
  constructor(key, values = {}) {
    super(key);
    Object.assign(this, { key, values });
  }
}

/** Along one axis, in cells: `start` to `stop` is given, `first` to `last` is seen. As engine.tiles. */
function spans(length, tile, halo) {
  const found = [];
  for (let start = 0; start < length; start += tile) {
    const stop = Math.min(start + tile, length);
    found.push({ start, stop, first: Math.max(0, start - halo), last: Math.min(length, stop + halo) });
  }
  return found;
}

/** Tiles of `tile` cells a side that cover `rows` x `columns` cells once. */
export function planTiles(rows, columns, tile, halo) {
  const across = spans(columns, tile, halo);
  return spans(rows, tile, halo).flatMap((row) => across.map((column) => ({ rows: row, columns: column })));
}

/** Which rows (or columns) of a picture its colors are measured in, first and end of each: as engine.bands. */
export function measuredBands(length, stride) {
  const [band, count] = [16, 16];
  const whole = (share) => Math.floor(share / ((count - 1) * stride)) * stride;
  if (length <= count * band || whole(length - band) < band) return [[0, length]];
  const first = (i) => whole((length - band) * i);
  return Array.from({ length: count }, (_, i) => [first(i), first(i) + band]);
}

/** A rectangle of a tensor `(1, C, h, w)`. */
export function crop({ data, dims }, top, left, height, width) {
  const [, channels, high, wide] = dims;
  if (!top && !left && height === high && width === wide) return { data, dims };
  const part = new Float32Array(channels * height * width);
  for (let c = 0, to = 0; c < channels; c += 1) {
    for (let y = 0; y < height; y += 1, to += width) {
      const from = (c * high + top + y) * wide + left;
      part.set(data.subarray(from, from + width), to);
    }
  }
  return { data: part, dims: [1, channels, height, width] };
}

export class Stylizer {
  /** `facts` as in model.json; `tile` in pixels. */
  constructor(facts, run, tile = 1024) {
    Object.assign(this, { facts, run, cells: Math.max(1, Math.floor(tile / facts.stride)), known: new WeakMap() });
  }

  /** A style's picture: means and deviations of `levels`, and its `colors`, null where results do not take them. A
   * shorter side beyond `size` is scaled down to it. */
  async encodeStyle(picture, size = 512) {
    if (picture.empty) throw new Trouble("here.transparent");
    const short = Math.min(picture.width, picture.height);
    const sides = [picture.width, picture.height].map((side) => Math.max(1, halfEven((side * size) / short)));
    const small = short > size ? picture.resized(...sides) : picture;
    const { statistics } = await this.look(small);
    const levels = statistics.map(({ mean, std }) => ({ mean, std }));
    if (!this.facts.palette) return { levels, colors: null };
    const { mean, covariance } = colorsOf((i, c) => small.shown(i, c), small, small.alpha);
    return { levels, colors: { mean: Float32Array.from(mean), covariance: Float32Array.from(covariance.flat()) } };
  }

  /** The weighted mean of styles; of their colors if all know them. */
  blend(styles, weights) {
    const mean = (parts) => (
      Object.fromEntries(Object.keys(parts[0]).map((key) => [key, mixed(parts.map((part) => part[key]), weights)])));
    return {
      levels: styles[0].levels.map((_, i) => mean(styles.map(({ levels }) => levels[i]))),
      colors: styles.every(({ colors }) => colors) ? mean(styles.map(({ colors }) => colors)) : null,
    };
  }

  /** What is to be known of a content, whatever its style: statistics, and the counts behind them. `cover`, a plane as
   * large as the picture, is where they are taken; `step()` is awaited after each tile. Features of one tile are kept. */
  async look(picture, cover = null, step = async () => {}) {
    const { levels } = this.facts;
    const tiles = this.tiles(picture, "encoder");
    const { alpha } = picture;
    const counts = cover && alpha ? cover.map((part, i) => Math.fround(part * alpha[i])) : cover;
    const [visible, inside] = [alpha, counts].map((plane) => plane && this.weights(plane, picture));
    const whole = levels.map(({ channels }) => new Moments(channels));
    const own = cover && levels.map(({ channels }) => new Moments(channels));
    let features = null;
    for (const tile of tiles) {
      features = this.known.get(picture) ?? await this.encode(picture, tile);
      levels.forEach(({ stride }, i) => {
        const part = this.given(features[i], tile, this.facts.stride / stride, this.sides(picture, stride));
        whole[i].add(part.tensor, visible && part.of(visible[i]));
        own?.[i].add(part.tensor, part.of(inside[i]));
      });
      await step();
    }
    if (tiles.length === 1) this.known.set(picture, features);
    const statistics = own ? own.map((each, i) => each.steadied(whole[i])) : whole;
    return { picture, statistics, counts: counts ?? alpha };
  }

  /** A content that was looked at, in a style: colors `(H, W, 3)` in [0, 1], float32. `strength`: of the `color` that
   * is kept, or else of the style's. */
  async paint(seen, style, { alpha = 1, color = "none", strength = 1, cover = null, step = async () => {} } = {}) {
    const { picture } = seen;
    const maps = await this.maps(seen.statistics, style, alpha);
    const output = new Float32Array(3 * picture.width * picture.height);
    for (const tile of this.tiles(picture)) {
      await this.paintTile(picture, tile, maps, output);
      await step();
    }
    const weight = seen.counts;
    if (color === "luma") keepLuma(output, picture, { strength });
    else if (color === "match") matchColor(output, picture, { strength, weight });
    else if (style.colors && strength * alpha) {
      const bands = weight ? undefined : [picture.height, picture.width].map((side) => measuredBands(side, this.facts.stride));
      bringToPalette(output, picture, style.colors, { strength: strength * alpha, weight, bands });
    }
    if (cover) this.outside(output, picture, cover);
    return output;
  }

  /** The tiles in which a picture is painted, or looked at by the encoder. */
  tiles(picture, coder = "decoder") { return planTiles(...this.grid(picture), this.cells, this.facts.reach[coder]); }

  async paintTile(picture, tile, maps, output) {
    const { stride, levels } = this.facts;
    const known = this.known.get(picture) ?? (await this.around(picture, tile));
    const inputs = { ...maps };
    levels.forEach((level, i) => {
      const scale = stride / level.stride;
      const [rows, columns] = this.sides(picture, level.stride);
      const [top, left] = [(tile.rows.first - known.top) * scale, (tile.columns.first - known.left) * scale];
      const height = Math.min(tile.rows.last * scale, rows) - tile.rows.first * scale;
      const width = Math.min(tile.columns.last * scale, columns) - tile.columns.first * scale;
      inputs[`level${i}`] = crop(known[i], top, left, height, width);
    });
    const origin = [tile.rows.first, tile.columns.first].map(BigInt);
    if (this.facts.origin) inputs.origin = { data: BigInt64Array.from(origin), dims: [2] };
    const { picture: found } = await this.run("decoder", inputs);
    const [, , high, wide] = found.dims;
    const [top, left] = [tile.rows.start * stride, tile.columns.start * stride];
    const [within, beside] = [(tile.rows.start - tile.rows.first) * stride, (tile.columns.start - tile.columns.first) * stride];
    const bottom = Math.min(tile.rows.stop * stride, picture.height);
    const right = Math.min(tile.columns.stop * stride, picture.width);
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        const from = (y - top + within) * wide + x - left + beside;
        const to = 3 * (y * picture.width + x);
        for (let c = 0; c < 3; c += 1) output[to + c] = Math.min(1, Math.max(0, found.data[c * high * wide + from]));
      }
    }
  }

  /** The features that a tile of the decoder sees, where those of the whole picture are not kept. */
  async around(picture, tile) {
    const { reach } = this.facts;
    const [rows, columns] = this.grid(picture);
    const wider = (span, length) => ({
      first: Math.max(0, span.first - reach.encoder), last: Math.min(length, span.last + reach.encoder),
    });
    const seen = { rows: wider(tile.rows, rows), columns: wider(tile.columns, columns) };
    return this.encode(picture, seen);
  }

  /** The levels' features of what a tile sees; `top` and `left` are the cell at which they begin. */
  async encode(picture, { rows, columns }) {
    const { stride, smallest, levels } = this.facts;
    const [height, width] = [picture.height, picture.width].map((side) => Math.max(side, smallest));
    const [top, left] = [rows.first * stride, columns.first * stride];
    const sides = [Math.min(rows.last * stride, height) - top, Math.min(columns.last * stride, width) - left];
    const patch = { data: picture.patch(top, left, ...sides), dims: [1, 3, ...sides] };
    const found = await this.run("encoder", { picture: patch });
    return Object.assign(levels.map((_, i) => found[`level${i}`]), { top: rows.first, left: columns.first });
  }

  /** What a tile gives of a level: the tensor, and the same part of a plane of weights. */
  given(tensor, { rows, columns }, scale, [high, wide]) {
    const [top, left] = [rows.start * scale, columns.start * scale];
    const [height, width] = [Math.min(rows.stop * scale, high) - top, Math.min(columns.stop * scale, wide) - left];
    const [within, beside] = [top - rows.first * scale, left - columns.first * scale];
    return {
      tensor: crop(tensor, within, beside, height, width),
      of: (plane) => crop({ data: plane, dims: [1, 1, high, wide] }, top, left, height, width).data,
    };
  }

  async maps(statistics, style, alpha) {
    const inputs = { alpha: vector(statistics.map(() => alpha), [statistics.length]) };
    statistics.forEach(({ mean, std }, i) => {
      Object.assign(inputs, {
        [`content_mean${i}`]: vector(mean), [`content_std${i}`]: vector(std),
        [`style_mean${i}`]: vector(style.levels[i].mean), [`style_std${i}`]: vector(style.levels[i].std),
      });
    });
    return this.run("maps", inputs);
  }

  /** Outside of the cover the picture stays as it was. */
  outside(output, picture, cover) {
    for (let i = 0; i < cover.length; i += 1) {
      for (let c = 0; c < 3; c += 1) {
        const own = picture.raw(i, c);
        output[3 * i + c] = cover[i] > 0 ? own + (output[3 * i + c] - own) * cover[i] : own;
      }
    }
  }

  weights(plane, picture) {
    return this.facts.levels.map(({ stride }) => cellMeans(plane, picture, stride, this.sides(picture, stride)));
  }

  /** Rows and columns of the cells of a stride. */
  sides(picture, stride) {
    return [picture.height, picture.width].map((side) => Math.ceil(Math.max(side, this.facts.smallest) / stride));
  }

  grid(picture) { return this.sides(picture, this.facts.stride); }
}

function vector(values, dims = [1, values.length]) { return { data: Float32Array.from(values), dims }; }

/** Python's round. */
export function halfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}
