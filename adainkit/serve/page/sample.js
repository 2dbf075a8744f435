// A landscape to try the page with, computed: nobody's photograph, and nothing to fetch.

const WIDTH = 1200;
const HEIGHT = 800;

function hash(x, y) {
  let n = (Math.imul(x, 374761393) + Math.imul(y, 668265263)) | 0;
  n = Math.imul(n ^ (n >>> 13), 1274126177);
  return ((n ^ (n >>> 16)) >>> 0) / 4294967296;
}

function noise(x, y) {
  const [i, j] = [Math.floor(x), Math.floor(y)];
  const [f, g] = [x - i, y - j];
  const [u, v] = [f * f * (3 - 2 * f), g * g * (3 - 2 * g)];
  const top = hash(i, j) + (hash(i + 1, j) - hash(i, j)) * u;
  const low = hash(i, j + 1) + (hash(i + 1, j + 1) - hash(i, j + 1)) * u;
  return top + (low - top) * v;
}

function clouds(x, y, octaves = 5) {
  let [sum, part] = [0, 0.5];
  for (let k = 0; k < octaves; k += 1, part /= 2) sum += part * noise(x * 2 ** k + 17 * k, y * 2 ** k + 31 * k);
  return sum;
}

function mix(a, b, share) {
  const s = Math.min(1, Math.max(0, share));
  return [a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s, a[2] + (b[2] - a[2]) * s];
}

const step = (a, b, x) => { const s = Math.min(1, Math.max(0, (x - a) / (b - a))); return s * s * (3 - 2 * s); };

// height of the ridge from the horizon, roughness, seed, color in light and in shade
const ranges = [
  [0.30, 3.1, 3, [190, 196, 222], [142, 158, 198]],
  [0.19, 4.3, 47, [150, 150, 176], [92, 108, 150]],
  [0.10, 6.0, 91, [128, 136, 104], [62, 84, 92]],
  [0.045, 9.0, 7, [98, 118, 66], [38, 62, 54]],
];
const SHORE = 0.60;
// each range's line, a column at a time; a few columns more, for the slopes at the edge
const lines = ranges.map(([height, rough, seed]) => Float32Array.from(
  { length: WIDTH + 8 }, (_, i) => SHORE - height * (0.35 + 1.1 * clouds((i / WIDTH) * rough + seed, seed, 6)),
));
const SUN = [0.70, 0.30];

function sky(x, y) {
  const base = mix([74, 128, 190], [252, 214, 170], step(0, 0.62, y));
  const near = Math.hypot((x - SUN[0]) * 1.5, y - SUN[1]);
  const lit = mix(base, [255, 236, 196], 0.75 * Math.exp(-near * 4.5));
  const cover = step(0.42, 0.66, clouds(x * 3.2 + 4, y * 8 + 2));
  if (near >= 0.028 && cover === 0) return lit;
  const under = clouds(x * 3.2 + 3.9, y * 8 + 2.5);
  const cloud = mix([255, 248, 238], [196, 164, 178], step(0.3, 0.62, under));
  return near < 0.028 ? [255, 250, 226] : mix(lit, cloud, cover * 0.85);
}

function land(x, y) {
  const column = Math.min(WIDTH, Math.max(0, Math.round(x * WIDTH)));
  for (let i = ranges.length - 1; i >= 0; i -= 1) { // the nearest hides those behind it
    const [height, , seed, light, shade] = ranges[i];
    const top = lines[i][column];
    if (y < top) continue;
    const slope = (lines[i][column + 5] - top) * 60 + (clouds(x * 46 + y * 30 + seed, y * 26 - x * 14, 5) - 0.47) * 2.4;
    const haze = step(top, SHORE + 0.05, y) * 0.45;
    const color = mix(mix(shade, light, 0.5 + slope), [236, 214, 200], haze * (height / 0.3));
    if (height < 0.25) return color;
    return mix(color, [250, 246, 246], step(0.55, 0.2, (y - top) * 9 + clouds(x * 30, y * 30, 3)));
  }
  return sky(x, y);
}

function water(x, y) {
  const deep = (y - SHORE) / (1 - SHORE);
  const wave = (clouds(x * 7, y * (150 - 95 * deep), 3) - 0.44) * (0.012 + 0.05 * deep);
  const seen = land(x + wave * 0.5, Math.max(0.02, SHORE - (y - SHORE) * 1.25 + wave));
  const glint = step(0.6, 0.8, noise(x * 60, y * 300)) * Math.exp(-(((x - SUN[0]) * 7) ** 2)) * 0.7;
  return mix(mix(seen, [36, 84, 110], 0.25 + 0.3 * deep), [255, 232, 190], glint);
}

function meadow(x, y, edge) {
  const blade = noise(x * 260 + clouds(x * 9, y * 9, 2) * 30, y * 34) * 0.6 + clouds(x * 20, y * 20, 3) * 0.6;
  const grass = mix([34, 62, 30], [168, 176, 76], blade * 1.1 - 0.05 + (edge - y) * 0.6);
  const cell = [Math.floor(x * 110), Math.floor(y * 74)];
  const [p, q] = [hash(cell[0], cell[1]), hash(cell[1] + 9, cell[0])];
  const from = Math.hypot(x * 110 - cell[0] - 0.2 - 0.6 * p, y * 74 - cell[1] - 0.2 - 0.6 * q);
  if (q < 0.3 && from < 0.3) return p < 0.5 ? [226, 74, 58] : p < 0.8 ? [250, 222, 120] : [240, 236, 246];
  return grass;
}

function pixel(x, y) {
  const edge = 0.80 + 0.1 * clouds(x * 2.3 + 8, 3, 4) - 0.16 * step(0.5, 0, x) + 0.04 * x;
  if (y > edge) return meadow(x, y, edge);
  return y < SHORE ? land(x, y) : water(x, y);
}

function boat(c) {
  c.fillStyle = "#6b2f22";
  c.beginPath(); c.moveTo(770, 560); c.quadraticCurveTo(830, 592, 900, 556); c.lineTo(884, 580); c.lineTo(790, 582); c.fill();
  c.fillStyle = "#f7ead2";
  c.beginPath(); c.moveTo(830, 412); c.quadraticCurveTo(868, 490, 884, 548); c.lineTo(832, 552); c.fill();
  c.fillStyle = "#d9573b";
  c.beginPath(); c.moveTo(824, 432); c.quadraticCurveTo(800, 500, 786, 550); c.lineTo(824, 553); c.fill();
  c.fillStyle = "#3c241c"; c.fillRect(826, 404, 4, 158);
  c.globalAlpha = 0.35; c.fillStyle = "#f3dcc0";
  for (let i = 0; i < 14; i += 1) c.fillRect(800 + 40 * hash(i, 5), 586 + i * 6, 60 - i * 2.5, 2.5);
  c.globalAlpha = 1;
}

function tree(c) {
  c.strokeStyle = "#3a281f";
  c.lineCap = "round";
  const ends = [];
  const branch = (x, y, angle, length, width) => {
    const [a, b] = [x + Math.cos(angle) * length, y + Math.sin(angle) * length];
    c.lineWidth = width;
    c.beginPath(); c.moveTo(x, y); c.lineTo(a, b); c.stroke();
    if (width < 6) ends.push([a, b]);
    if (width < 3) return;
    const turn = hash(Math.round(a), Math.round(b));
    branch(a, b, angle - 0.2 - 0.4 * turn, length * 0.82, width * 0.68);
    branch(a, b, angle + 0.15 + 0.45 * turn, length * 0.78, width * 0.62);
  };
  branch(150, 735, -1.52, 122, 25);
  const leaves = ends.flatMap(([x, y], i) => Array.from({ length: 34 }, (_, k) => {
    const [p, angle] = [hash(i, k), hash(k, i) * 6.283];
    return [x + Math.cos(angle) * 46 * Math.sqrt(p), y + Math.sin(angle) * 32 * Math.sqrt(p), hash(i + k, 3)];
  }));
  leaves.sort((a, b) => b[1] - a[1]); // the lit ones on top
  for (const [x, y, s] of leaves) {
    const light = 0.55 * s + (x - y + 330) / 800;
    c.fillStyle = `rgb(${mix([44, 54, 26], [240, 172, 62], light).map(Math.round)})`;
    c.beginPath(); c.ellipse(x, y, 3 + 5 * s, 2 + 3 * s, s * 6, 0, 7); c.fill();
  }
}

/** The sample as a JPEG file. */
export async function sample() {
  const canvas = document.createElement("canvas");
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  const context = canvas.getContext("2d");
  const image = context.createImageData(WIDTH, HEIGHT);
  for (let y = 0, at = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1, at += 4) {
      const [r, g, b] = pixel(x / WIDTH, y / HEIGHT);
      const grain = 5 * (hash(x, y) - 0.5);
      image.data.set([r + grain, g + grain, b + grain, 255], at);
    }
    if (y % 80 === 79) await new Promise((resolve) => setTimeout(resolve)); // the page stays awake
  }
  context.putImageData(image, 0, 0);
  boat(context);
  tree(context);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.93));
  return new File([blob], "sample.jpg", { type: "image/jpeg" });
}
