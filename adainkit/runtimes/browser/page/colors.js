// The content's colors for the result, or the style's, as in adainkit.runtimes.arrays. `output` is `(H, W, 3)` and is changed.

const LUMA = [0.299, 0.587, 0.114];
const OPPONENT = [LUMA, [-LUMA[0], -LUMA[1], 1 - LUMA[2]], [1 - LUMA[0], -LUMA[1], -LUMA[2]]]; // luma, B - Y, R - Y
const FROM_OPPONENT = [[1, 0, 1], [1, -LUMA[2] / LUMA[1], -LUMA[0] / LUMA[1]], [1, 1, 0]]; // and back
const GAINS = [1.6, 2, 2];
const VIVID = [1.3, 1.45, 1.45];
const ROOM = 1.5;
const [FREE, MOST] = [2, 2.5];
const [LOCAL, COLORFUL, LOUDEST] = [0.8, 0.06, 0.25];
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
  const [own, wanted] = [(i, c) => output[3 * i + c], (i, c) => picture.shown(i, c)].map((at) => colorsOf(at, picture, weight));
  const factor = ({ covariance }) => cholesky(ridged(covariance));
  const map = affine(product(factor(wanted), inverse(factor(own))), own.mean, wanted.mean);
  each(output, picture, strength, (rgb) => map.map((row) => applied(row, rgb)));
}

/** The result brought to a style's colors, with the picture's local color; its own ones, and the picture's, are measured
 * in `bands`, each pixel as far as `weight` says. */
export function bringToPalette(output, picture, colors, { strength, weight, bands }) {
  const { width, height } = picture;
  const own = colorsOf((i, c) => output[3 * i + c], picture, weight, bands);
  if (!own.total) return;
  const wanted = [0, 1, 2].map((row) => colors.covariance.slice(3 * row, 3 * row + 3));
  const lows = [own.covariance, wanted].map((each) => cholesky(ridged(product(product(OPPONENT, each), transposed(OPPONENT)))));
  const scaled = (low, factors) => low.map((row) => row.map((x, k) => x * factors[k]));
  const [spread, wider] = lows.map((low) => low.map((row, k) => row[k]));
  const gains = spread.map((x, k) => Math.min(wider[k] / x, GAINS[k]));
  const moved = product(scaled(lows[1], gains.map((x, k) => x / wider[k])), inverse(scaled(lows[0], spread.map((x) => 1 / x))));
  const [factors, mean] = vividOf(Array.from(colors.mean), wanted);
  const vivid = (rows) => rows.map((row, k) => row.map((x) => x * factors[k]));
  const whole = affine(product(product(FROM_OPPONENT, vivid(moved)), OPPONENT), own.mean, mean);
  const map = whole.map((row, k) => row.map((x, j) => strength * x + (j === k ? 1 - strength : 0)));
  const low = vivid(lows[1]);
  const seen = affine(product(inverse(low), OPPONENT), mean, [0, 0, 0]).slice(1);
  const back = product(FROM_OPPONENT, low).map((row) => row.slice(1));
  const local = localColor(picture, { weight, bands });
  const kept = strength * Math.min(1, Math.hypot(lows[1][1][1], lows[1][2][1], lows[1][2][2]) / COLORFUL);
  const content = [0, 0, 0];
  for (let i = 0; i < 3 * width * height; i += 3) {
    const rgb = [output[i], output[i + 1], output[i + 2]];
    const moved = map.map((row) => applied(row, rgb));
    const [blue, red] = seen.map((row) => applied(row, moved)); // chroma beyond the style's, in its deviations
    const beyond = Math.max(blue * blue + red * red - FREE, 0);
    const less = strength * (1 / Math.sqrt(1 + beyond / MOST ** 2) - 1);
    for (let c = 0; c < 3; c += 1) content[c] = picture.shown(i / 3, c);
    const [bluer, redder] = [applied(local[0], content), applied(local[1], content)];
    const share = kept / Math.sqrt(1 + (bluer * bluer + redder * redder) / LOUDEST ** 2);
    for (let c = 0; c < 3; c += 1) {
      const hue = share * (FROM_OPPONENT[c][1] * bluer + FROM_OPPONENT[c][2] * redder);
      output[i + c] = clamp(moved[c] + less * (back[c][0] * blue + back[c][1] * red) + hue, 0, 1);
    }
  }
}

/** Rows that lead from a picture's colors to `LOCAL` times their local color: chroma beyond the regression on luma. */
function localColor(picture, { weight, bands }) {
  const { mean, covariance } = colorsOf((i, c) => picture.shown(i, c), picture, weight, bands);
  const low = cholesky(ridged(product(product(OPPONENT, covariance), transposed(OPPONENT))));
  const rows = [1, 2].map((k) => OPPONENT[k].map((x, c) => LOCAL * (x - low[k][0] / low[0][0] * OPPONENT[0][c])));
  return affine(rows, mean, [0, 0]);
}

/** By what luma and chromas of a palette are multiplied, as far as there is room for it, and its mean color then. */
function vividOf(mean, covariance) {
  const [whole, tint] = [VIVID, [1, VIVID[1], VIVID[2]]].map((factors) =>
    product(FROM_OPPONENT, OPPONENT.map((row, k) => row.map((x) => x * factors[k]))));
  const tinted = tint.map((row) => applied([...row, 0], mean));
  const spread = product(product(whole, covariance), transposed(whole));
  const extent = (m, c) => m.map((x, k) => Math.abs(x - 0.5) + ROOM * Math.sqrt(Math.max(c[k][k], 0)));
  const [now, then] = [extent(mean, covariance), extent(tinted, spread)];
  const share = Math.min(...now.map((x, k) => clamp((0.5 - x) / Math.max(then[k] - x, 1e-6), 0, 1)));
  return [VIVID.map((x) => 1 + share * (x - 1)), mean.map((x, k) => x + share * (tinted[k] - x))];
}

/** Sum of weights, mean and covariance of the colors `at(pixel, channel)` of a picture, or of what lies in `bands` of
 * both its rows and columns. */
export function colorsOf(at, { width, height }, weight, bands = [[[0, height]], [[0, width]]]) {
  const [mean, covariance] = [[0, 0, 0], [[0, 0, 0], [0, 0, 0], [0, 0, 0]]];
  const rgb = [0, 0, 0];
  let total = 0;
  const [rows, columns] = bands;
  for (const [[top, bottom], [left, right]] of rows.flatMap((row) => columns.map((column) => [row, column]))) {
    for (let y = top; y < bottom; y += 1) {
      for (let i = y * width + left; i < y * width + right; i += 1) {
        const share = weight ? weight[i] : 1;
        total += share;
        for (let a = 0; a < 3; a += 1) {
          rgb[a] = at(i, a);
          mean[a] += rgb[a] * share;
          for (let b = 0; b <= a; b += 1) covariance[a][b] += rgb[a] * rgb[b] * share;
        }
      }
    }
  }
  for (let a = 0; a < 3; a += 1) {
    mean[a] /= Math.max(total, TINY);
    for (let b = 0; b <= a; b += 1) {
      covariance[a][b] = covariance[b][a] = covariance[a][b] / Math.max(total, TINY) - mean[a] * mean[b];
    }
  }
  return { total, mean, covariance };
}

/** Rows of a matrix, each followed by the offset by which it maps one mean to the other. */
function affine(matrix, from, to) { return matrix.map((row, i) => [...row, to[i] - applied([...row, 0], from)]); }

function applied(row, rgb) { return row[0] * rgb[0] + row[1] * rgb[1] + row[2] * rgb[2] + row[3]; }

function ridged(covariance) { return covariance.map((row, a) => Array.from(row, (x, b) => x + (a === b ? RIDGE : 0))); }

function transposed(matrix) { return matrix[0].map((_, column) => matrix.map((row) => row[column])); }

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
