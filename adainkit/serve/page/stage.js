// The picture on the wall: before and after, with a border between them that can be moved.

import { inWords, look } from "./look.js";
import { FINEST } from "./place.js";
import { t } from "./strings.js";

const frame = document.getElementById("frame");
const before = document.getElementById("before");
const after = document.getElementById("after");
const split = document.getElementById("split");
const label = document.getElementById("label");
const compare = document.getElementById("compare");

let place = 50; // of the border, in percent from the left
let title = { name: "", size: "" };

/** Hang a picture: what is shown before, and the frame's shape. */
export function hang({ url, width, height, name }) {
  const old = before.src;
  before.src = url;
  if (old.startsWith("blob:") && old !== url) URL.revokeObjectURL(old);
  shape(width, height);
  after.getContext("2d").clearRect(0, 0, after.width, after.height);
  frame.classList.remove("painted");
  title = { name, size: `${width} × ${height}` };
  caption();
}

export function shape(width, height) {
  frame.style.setProperty("--w", width);
  frame.style.setProperty("--h", height);
}

/** Show a result: an ImageBitmap, which is closed afterwards. */
export function paintAfter(bitmap) {
  if (after.width !== bitmap.width || after.height !== bitmap.height) {
    after.width = bitmap.width;
    after.height = bitmap.height;
  }
  const context = after.getContext("2d");
  context.clearRect(0, 0, after.width, after.height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  frame.classList.add("painted");
}

/** The longest side of a preview that fills the frame on this screen. */
export function wanted() {
  const box = frame.getBoundingClientRect();
  const longest = Math.max(box.width, box.height) * Math.min(2, devicePixelRatio || 1);
  return Math.round(Math.min(FINEST, Math.max(384, longest)) / 64) * 64;
}

/** The label on the wall. `text` in place of the picture's size. */
export function caption(text) {
  if (text !== undefined) title.size = text;
  const work = document.createElement("cite");
  work.textContent = title.name;
  const style = look.a ? `, ${t("stage.in", { style: inWords() })}` : "";
  const size = document.createElement("span");
  size.textContent = title.size;
  label.replaceChildren(work, style, size);
  before.alt = t("stage.alt.before");
  after.setAttribute("aria-label", t("stage.alt.after", { style: inWords() }));
  split.setAttribute("aria-label", t("stage.split"));
  split.setAttribute("aria-valuetext", `${Math.round(place)} %`);
}

export function comparing(on) {
  compare.setAttribute("aria-pressed", String(on));
  frame.classList.toggle("comparing", on);
}

function move(percent) {
  place = Math.min(100, Math.max(0, percent));
  frame.style.setProperty("--split", `${place}%`);
  split.setAttribute("aria-valuenow", String(Math.round(place)));
  split.setAttribute("aria-valuetext", `${Math.round(place)} %`);
}

function follow(event) {
  const box = frame.getBoundingClientRect();
  move(((event.clientX - box.left) / box.width) * 100);
}

export function startStage() {
  comparing(true);
  move(50);
  compare.addEventListener("click", () => comparing(compare.getAttribute("aria-pressed") !== "true"));
  split.addEventListener("pointerdown", (event) => {
    split.setPointerCapture(event.pointerId);
    follow(event);
    event.preventDefault();
    split.focus({ preventScroll: true });
  });
  split.addEventListener("pointermove", (event) => { if (split.hasPointerCapture(event.pointerId)) follow(event); });
  split.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10 };
    if (event.key in steps) move(place + steps[event.key]);
    else if (event.key === "Home") move(0);
    else if (event.key === "End") move(100);
    else return;
    event.preventDefault();
  });
  document.addEventListener("languagechange", () => caption());
}
