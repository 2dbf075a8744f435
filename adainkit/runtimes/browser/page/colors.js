// The content's colors for the result, as adainkit.runtimes.arrays keeps them. `output` is `(H, W, 3)` and is changed.

const LUMA = [0.299, 0.587, 0.114];
const RIDGE = (1 / 1020) ** 2;
const LIVELY = 2;
const TINY = 1.1754943508222875e-38;

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const luma = (rgb) => LUMA[0] * rgb[0] + LUMA[1] * rgb[1] + LUMA[2] * rgb[2];

/** `change(result, content)` of every pixel, as far as `strength` says. */
function each(output, picture, strength, change) {
  const [result, content] = [[0, 0, 0], [0, 0, 0]];
  for (let i = 0; i < picture.width * picture.height; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      result[c] = output[3 * i + c];
      content[c] = picture.shown(i, c);
    }
    const changed = change(result, content);
    for (let c = 0; c < 3; c += 1) output[3 * i + c] = result[c] + (clamp(changed[c], 0, 1) - result[c]) * strength;
  }
}

/** The luma of the result with the chroma of the content. */
export function keepLuma(output, picture, { strength }) {
  each(output, picture, strength, (result, content) => {
    const [light, own] = [clamp(luma(result), 0, 1), luma(content)];
    const lively = clamp(light / Math.max(own, TINY), 1, LIVELY);
    const chroma = content.map((value) => (value - own) * lively);
    const high = (1 - light) / Math.max(Math.max(...chroma), TINY);
    const low = light / Math.max(-Math.min(...chroma), TINY);
    const fit = Math.min(high, low, 1);
    return chroma.map((value) => value * fit + light);
  });
}

/** The result with the mean and covariance of the content's colors, each pixel as far as `weight` counts it. */
export function matchColor(output, picture, { strength, weight }) {
  const pixels = picture.width * picture.height;
  const [own, wanted] = [(i, c) => output[3 * i + c], (i, c) => picture.shown(i, c)].map((at) => spread(at, pixels, weight));
  const matrix = product(wanted.factor, inverse(own.factor));
  const offset = matrix.map((row, i) => wanted.mean[i] - row.reduce((sum, x, j) => sum + x * own.mean[j], 0));
  each(output, picture, strength, (rgb) => matrix.map((row, i) => row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2] + offset[i]));
}

/** Mean, and the lower triangle whose square is the covariance. */
function spread(at, pixels, weight) {
  const [mean, covariance] = [[0, 0, 0], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]];
  let total = 0;
  for (let i = 0; i < pixels; i += 1) {
    const share = weight ? weight[i] : 1;
    total += share;
    for (let c = 0; c < 3; c += 1) mean[c] += at(i, c) * share;
  }
  for (let c = 0; c < 3; c += 1) mean[c] /= Math.max(total, TINY);
  for (let i = 0; i < pixels; i += 1) {
    const share = weight ? weight[i] : 1;
    for (let a = 0; a < 3; a += 1) {
      for (let b = 0; b <= a; b += 1) covariance[a][b] += (at(i, a) - mean[a]) * (at(i, b) - mean[b]) * share;
    }
  }
  for (let a = 0; a < 3; a += 1) {
    for (let b = 0; b <= a; b += 1) covariance[a][b] = covariance[a][b] / Math.max(total, TINY) + (a === b ? RIDGE : 0);
  }
  return { mean, factor: cholesky(covariance) };
}

function cholesky(matrix) {
  const lower = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  for (let a = 0; a < 3; a += 1) {
    for (let b = 0; b <= a; b += 1) {
      let rest = matrix[a][b];
      for (let k = 0; k < b; k += 1) rest -= lower[a][k] * lower[b][k];
      lower[a][b] = a === b ? Math.sqrt(rest) : rest / lower[b][b];
    }
  }
  return lower;
}

/** Of a lower triangle. */
function inverse(lower) {
  const made = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
  for (let column = 0; column < 3; column += 1) {
    for (let row = column; row < 3; row += 1) {
      let rest = row === column ? 1 : 0;
      for (let k = column; k < row; k += 1) rest -= lower[row][k] * made[k][column];
      made[row][column] = rest / lower[row][row];
    }
  }
  return made;
}

function product(a, b) {
  return a.map((row) => [0, 1, 2].map((column) => row.reduce((sum, x, k) => sum + x * b[k][column], 0)));
}
