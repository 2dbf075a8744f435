// Channel statistics, as adainkit.runtimes.arrays has them: sums in float64, results in float32.

const EPS = 1e-5;
const FEW_CELLS = 16;
const TINY = 1.1754943508222875e-38;

/** The sum of weights, means, and sums of squared deviations of channels; parts of a picture are added one by one. */
export class Moments {
  constructor(channels) {
    this.count = 0;
    this.means = new Float64Array(channels);
    this.squares = new Float64Array(channels);
  }

  get mean() { return Float32Array.from(this.means); }

  get std() { return Float32Array.from(this.squares, (each) => Math.sqrt(each / Math.max(this.count, TINY) + EPS)); }

  /** Add a tensor `(1, C, h, w)`, each cell as far as `weight` says. */
  add({ data, dims }, weight = null) {
    const cells = dims[2] * dims[3];
    const count = weight ? weight.reduce((sum, each) => sum + each, 0) : cells;
    for (let c = 0; c < dims[1]; c += 1) {
      const x = data.subarray(c * cells, (c + 1) * cells);
      let [sum, squares] = [0, 0];
      for (let i = 0; i < cells; i += 1) sum += weight ? x[i] * weight[i] : x[i];
      const mean = sum / Math.max(count, TINY);
      for (let i = 0; i < cells; i += 1) squares += (x[i] - mean) ** 2 * (weight ? weight[i] : 1);
      this.join(c, count, mean, squares);
    }
    this.count += count;
  }

  join(c, count, mean, squares) {
    const share = count / Math.max(this.count + count, TINY);
    const delta = mean - this.means[c];
    this.means[c] += delta * share;
    this.squares[c] += squares + delta ** 2 * this.count * share;
  }

  /** Filled up to `FEW_CELLS` cells with those of the whole picture if there are fewer. */
  steadied(whole) {
    const missing = Math.max(FEW_CELLS - this.count, 0);
    if (!missing) return this;
    const made = new Moments(this.means.length);
    made.means.set(this.means);
    made.squares.set(this.squares);
    made.count = this.count;
    for (let c = 0; c < this.means.length; c += 1) {
      made.join(c, missing, whole.means[c], (whole.squares[c] / Math.max(whole.count, TINY)) * missing);
    }
    made.count += missing;
    return made;
  }
}

/** The weighted mean of vectors. */
export function mixed(vectors, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return vectors[0].map((_, i) => vectors.reduce((sum, vector, k) => sum + vector[i] * Math.fround(weights[k] / total), 0));
}

/** The mean of a plane over each cell's pixels; the border goes on beyond the picture. */
export function cellMeans(plane, { width, height }, stride, [rows, columns]) {
  const means = new Float32Array(rows * columns);
  for (let y = 0; y < rows * stride; y += 1) {
    const row = Math.min(y, height - 1) * width;
    const cells = Math.floor(y / stride) * columns;
    for (let x = 0; x < columns * stride; x += 1) {
      means[cells + Math.floor(x / stride)] += plane[row + Math.min(x, width - 1)] / stride ** 2;
    }
  }
  return means;
}
