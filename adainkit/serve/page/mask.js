// The mask as a list of strokes on a gray canvas: white is painted. A stroke of the brush takes the lighter of what is there
// and its own edge, one of the eraser the darker, so that a stroke over itself grows no harder.

const LONGEST = 1024;

export class Mask {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.reset(4, 3);
  }

  /** A new picture: no strokes. */
  reset(width, height) {
    const shrink = Math.min(1, LONGEST / Math.max(width, height));
    this.canvas.width = Math.max(1, Math.round(width * shrink));
    this.canvas.height = Math.max(1, Math.round(height * shrink));
    this.done = [];
    this.undone = [];
    this.redraw();
  }

  /** Whether anything is masked at all. */
  get active() { return this.done.length > 0 && this.done.at(-1).kind !== "clear"; }

  begin(kind, size, soft) {
    if (!this.active) this.fill(kind === "erase" ? "#fff" : "#000");
    this.undone = [];
    this.done.push({ kind, size, soft, points: [] });
  }

  /** Go on with the stroke to a point, in parts of the picture's width and height. */
  to(x, y) {
    const stroke = this.done.at(-1);
    this.draw(stroke, stroke.points.at(-1), [x, y]);
    stroke.points.push([x, y]);
  }

  add(kind) {
    if (!this.active) return;
    this.undone = [];
    this.done.push({ kind });
    this.redraw();
  }

  undo() { return this.shift(this.done, this.undone); }

  redo() { return this.shift(this.undone, this.done); }

  shift(from, to) {
    if (!from.length) return false;
    to.push(from.pop());
    this.redraw();
    return true;
  }

  redraw() {
    this.fill("#fff");
    let empty = true;
    for (const each of this.done) {
      if (each.kind === "clear") this.fill("#fff");
      else if (each.kind === "invert") this.invert();
      else {
        if (empty) this.fill(each.kind === "erase" ? "#fff" : "#000");
        each.points.forEach((point, i) => this.draw(each, each.points[i - 1], point));
      }
      empty = each.kind === "clear";
    }
  }

  fill(color) {
    this.context.globalCompositeOperation = "source-over";
    this.context.fillStyle = color;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  invert() {
    this.context.globalCompositeOperation = "difference";
    this.context.fillStyle = "#fff";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw({ kind, size, soft }, from, to) {
    const { width, height } = this.canvas;
    const radius = Math.max(1, (size / 200) * Math.max(width, height));
    const [x, y] = [to[0] * width, to[1] * height];
    const [x0, y0] = from ? [from[0] * width, from[1] * height] : [x, y];
    const steps = Math.max(1, Math.ceil(Math.hypot(x - x0, y - y0) / Math.max(1, radius / 5)));
    this.context.globalCompositeOperation = kind === "erase" ? "darken" : "lighten";
    for (let i = from ? 1 : steps; i <= steps; i += 1) {
      this.dab(x0 + ((x - x0) * i) / steps, y0 + ((y - y0) * i) / steps, radius, soft, kind === "erase");
    }
  }

  dab(x, y, radius, soft, erase) {
    const [inner, outer] = erase ? ["#000", "#fff"] : ["#fff", "#000"];
    const edge = this.context.createRadialGradient(x, y, 0, x, y, radius);
    edge.addColorStop(0, inner);
    edge.addColorStop(Math.min(0.98, 1 - soft), inner);
    edge.addColorStop(1, outer);
    this.context.fillStyle = edge;
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fill();
  }

  /** The mask as a PNG; null where the style is everywhere. */
  async file() {
    if (!this.active) return null;
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }
}
