// A picture in memory: RGBA, of bytes as a canvas gives them, or of floats in [0, 1].

/** A plane or picture of `channels`, area-averaged where it gets smaller: adainkit.runtimes.arrays.resized. */
export function resampled(data, unit, [width, height], channels, [newWidth, newHeight]) {
  const [across, down] = [triangles(newWidth, width), triangles(newHeight, height)];
  const narrow = new Float64Array(newWidth * height * channels);
  for (let y = 0; y < height; y += 1) {
    across.forEach(({ first, weights }, x) => {
      const [to, from] = [(y * newWidth + x) * channels, (y * width + first) * channels];
      for (let k = 0; k < weights.length; k += 1) {
        for (let c = 0; c < channels; c += 1) narrow[to + c] += weights[k] * data[from + k * channels + c];
      }
    });
  }
  const made = new Float32Array(newWidth * newHeight * channels);
  const row = new Float64Array(newWidth * channels);
  down.forEach(({ first, weights }, y) => {
    row.fill(0);
    for (let k = 0; k < weights.length; k += 1) {
      const from = (first + k) * row.length;
      for (let i = 0; i < row.length; i += 1) row[i] += weights[k] * narrow[from + i];
    }
    for (let i = 0; i < row.length; i += 1) made[y * row.length + i] = Math.min(1, row[i] / unit);
  });
  return made;
}

/** Of each new cell the first old one that counts, and the weights from there on. */
function triangles(size, side) {
  const scale = side / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, i) => {
    const center = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.floor(center - reach) + 1);
    const last = Math.min(side - 1, Math.ceil(center + reach) - 1);
    const weights = Float64Array.from({ length: last - first + 1 }, (_each, k) => 1 - Math.abs(first + k - center) / reach);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

export class Picture {
  /** `data`: RGBA, `unit` is white. What is transparent is no content: its color becomes the mean of the others. */
  constructor(data, unit, width, height) {
    Object.assign(this, { data, unit, width, height, alpha: null, hidden: null });
    let clear = false;
    for (let i = 3; i < data.length && !clear; i += 4) clear = data[i] < unit;
    if (!clear) return;
    this.alpha = Float32Array.from({ length: width * height }, (_, i) => data[4 * i + 3] / unit);
    if (this.alpha.includes(0)) this.hidden = this.mean();
  }

  /** Whether nothing of it is to be seen. */
  get empty() { return Boolean(this.alpha) && this.alpha.every((each) => each === 0); }

  mean() {
    const total = this.alpha.reduce((sum, each) => sum + each, 0);
    if (!total) return [0.5, 0.5, 0.5];
    return [0, 1, 2].map((c) => this.alpha.reduce((sum, each, i) => sum + each * this.raw(i, c), 0) / total);
  }

  /** A channel of pixel `i` as it is. */
  raw(i, c) { return this.data[4 * i + c] / this.unit; }

  /** And as the network sees it. */
  shown(i, c) { return this.hidden && this.data[4 * i + 3] === 0 ? this.hidden[c] : this.data[4 * i + c] / this.unit; }

  /** `(3, height, width)` from a place on; the border goes on beyond the picture. */
  patch(top, left, height, width) {
    const made = new Float32Array(3 * height * width);
    for (let y = 0, to = 0; y < height; y += 1) {
      const row = Math.min(top + y, this.height - 1) * this.width;
      for (let x = 0; x < width; x += 1, to += 1) {
        const at = row + Math.min(left + x, this.width - 1);
        for (let c = 0; c < 3; c += 1) made[c * height * width + to] = this.shown(at, c);
      }
    }
    return made;
  }

  /** At another size. */
  resized(width, height) {
    if (width === this.width && height === this.height) return this;
    let { data } = this;
    if (this.hidden) {
      data = Float32Array.from(data, (value, i) => (i % 4 < 3 ? this.shown(i >> 2, i % 4) * this.unit : value));
    }
    const made = resampled(data, this.unit, [this.width, this.height], 4, [width, height]);
    return new Picture(made, 1, width, height);
  }

  /** A mask `(H, W)` from it, at a size: gray, or its shape where it is of one gray. adainkit.runtimes.pictures. */
  cover(width, height) {
    const pixels = this.width * this.height;
    let gray = Float32Array.from({ length: pixels }, (_, i) => (this.raw(i, 0) + this.raw(i, 1) + this.raw(i, 2)) / 3);
    if (this.alpha) {
      const seen = gray.filter((_, i) => this.alpha[i] > 0);
      const [low, high] = seen.reduce(([a, b], x) => [Math.min(a, x), Math.max(b, x)], [1, 0]);
      gray = seen.length && high - low < 1.5 / 255 ? this.alpha : gray.map((x, i) => x * this.alpha[i]);
    }
    if (width !== this.width || height !== this.height) {
      gray = resampled(gray, 1, [this.width, this.height], 1, [width, height]);
    }
    return gray.map((x) => (x > 1 - 1e-6 ? 1 : x));
  }
}
