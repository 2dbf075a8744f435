// Painting the mask: pointer and keys, the ring that shows the brush, undo and redo.

import { Mask } from "./mask.js";
import { say } from "./notices.js";
import { t } from "./strings.js";

const get = (id) => document.getElementById(id);
const canvas = get("mask");
const ring = get("ring");
const frame = get("frame");
const mask = new Mask(canvas);
let file = null; // of the mask as it is
let newest = null; // the promise of the newest one
let told = () => {};
let at = [0.5, 0.5];

/** The mask's PNG, or null. */
export function maskFile() { return file; }

/** A promise of the mask as it is drawn: a stroke that has just ended counts. */
export function finalMask() { return newest ?? Promise.resolve(null); }

export function newMask(width, height) {
  mask.reset(width, height);
  file = newest = null;
  enable();
}

export function brushing(on) {
  get("paint").setAttribute("aria-pressed", String(on));
  get("brush").hidden = canvas.hidden = !on;
  ring.hidden = true;
  frame.classList.toggle("brushing", on);
  if (on) say(t("brush.on"));
}

export function isBrushing() { return !canvas.hidden; }

const kind = () => document.querySelector("input[name=brush-kind]:checked").value;
const size = () => Number(get("brush-size").value);
const soft = () => Number(get("brush-soft").value);

function point(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function showRing([x, y]) {
  at = [x, y];
  const box = frame.getBoundingClientRect();
  const wide = (size() / 100) * Math.max(box.width, box.height);
  ring.hidden = false;
  ring.style.width = ring.style.height = `${wide}px`;
  ring.style.left = `${x * 100}%`;
  ring.style.top = `${y * 100}%`;
}

async function finished() {
  enable();
  frame.setAttribute("aria-busy", "true");
  const made = (newest = mask.file());
  const png = await made;
  if (made !== newest) return; // a later stroke has ended meanwhile
  file = png;
  told();
}

function enable() {
  get("undo").disabled = !mask.done.length;
  get("redo").disabled = !mask.undone.length;
  get("clear").disabled = get("invert").disabled = !mask.active;
  frame.classList.toggle("masked", mask.active);
}

function stroke(start) {
  if (start.button) return;
  start.preventDefault();
  canvas.focus({ preventScroll: true });
  canvas.setPointerCapture(start.pointerId);
  mask.begin(kind(), size(), soft());
  mask.to(...point(start));
  enable();
  const go = (event) => {
    for (const each of event.getCoalescedEvents?.() ?? [event]) mask.to(...point(each));
  };
  const end = () => {
    canvas.removeEventListener("pointermove", go);
    canvas.removeEventListener("pointerup", end);
    canvas.removeEventListener("pointercancel", end);
    finished();
  };
  canvas.addEventListener("pointermove", go);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}

function keys(event) {
  const step = event.shiftKey ? 0.1 : 0.02;
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (event.key in moves) {
    showRing(at.map((x, i) => Math.min(1, Math.max(0, x + moves[event.key][i]))));
  } else if (event.key === " " || event.key === "Enter") {
    mask.begin(kind(), size(), soft());
    mask.to(...at);
    finished();
  } else if (event.key === "[" || event.key === "]") {
    get("brush-size").value = size() + (event.key === "]" ? 2 : -2);
    showRing(at);
  } else return;
  event.preventDefault();
}

function shift(back) {
  const moved = back ? mask.undo() : mask.redo();
  if (!moved) return;
  say(t(back ? "brush.undone" : "brush.redone"));
  finished();
}

function shortcuts(event) {
  if (!isBrushing() || event.target.matches?.("input[type=password]")) return;
  if (event.key === "Escape") {
    brushing(false);
    get("paint").focus();
  } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    shift(!event.shiftKey);
  } else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "y") {
    shift(false);
  } else return;
  event.preventDefault();
}

/** `changed` is called after every stroke, undo, redo. */
export function startBrush(changed) {
  told = changed;
  get("paint").addEventListener("click", () => brushing(!isBrushing()));
  canvas.addEventListener("pointerdown", stroke);
  canvas.addEventListener("pointermove", (event) => showRing(point(event)));
  canvas.addEventListener("pointerleave", () => { ring.hidden = true; });
  canvas.addEventListener("focus", () => { if (canvas.matches(":focus-visible")) showRing(at); });
  canvas.addEventListener("keydown", keys);
  document.addEventListener("keydown", shortcuts);
  get("undo").addEventListener("click", () => shift(true));
  get("redo").addEventListener("click", () => shift(false));
  get("invert").addEventListener("click", () => { mask.add("invert"); finished(); });
  get("clear").addEventListener("click", () => { mask.add("clear"); say(t("brush.cleared")); finished(); });
  const words = () => {
    canvas.setAttribute("aria-label", t("brush.canvas"));
    get("brush").setAttribute("aria-label", t("brush.group"));
    get("brush-kind").setAttribute("aria-label", t("brush.kind"));
  };
  words();
  document.addEventListener("languagechange", words);
  enable();
}
