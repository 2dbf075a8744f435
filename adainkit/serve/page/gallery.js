// All styles as previews of the photograph at hand, two at a time, those in sight first; and only while nothing else waits.

import { call, formOf, patiently } from "./api.js";
import { choose, look, without } from "./look.js";
import { make, say, tell } from "./notices.js";
import { preview } from "./photo.js";
import { styleName, styleWords, t } from "./strings.js";

const place = document.getElementById("tiles");
const frieze = document.getElementById("frieze");
const tiles = new Map(); // style name -> {style, box, button, image}
let round = new AbortController();

export const pictures = new EventTarget(); // "picture" when a tile has a new one

/** All styles in their order. */
export function all() { return [...tiles.values()].map((tile) => tile.style); }

/** The picture of a style's tile, or "". */
export function pictureOf(style) { return tiles.get(style?.name)?.image.src ?? ""; }

export async function loadStyles() {
  const told = await (await patiently("v1/styles")).json();
  const styles = Array.isArray(told) ? told : told.styles;
  for (const style of styles) if (!tiles.has(style.name)) add(style);
  mark();
  await Promise.all(styles.slice(0, 40).map(thumbnail));
  for (const image of [...frieze.children]) frieze.append(image.cloneNode()); // enough for a large screen
}

function add(style, first = false) {
  const button = make("button", "tile");
  button.type = "button";
  button.tabIndex = -1;
  button.dataset.name = style.name;
  const image = make("img");
  image.alt = "";
  image.draggable = false;
  const words = make("span", "tile-name");
  button.append(image, words, make("span", "tile-slot"));
  const box = make("div", "tile-box");
  box.append(button);
  if (style.kind === "saved") box.append(forgetButton(style));
  const tile = { style, box, button, image, words };
  button.addEventListener("click", () => choose(style));
  tiles.set(style.name, tile);
  place[first ? "prepend" : "append"](box);
  name(tile);
  return tile;
}

function name({ style, button, words, box }) {
  words.textContent = styleName(style);
  const line = styleWords(style);
  button.setAttribute("aria-label", line ? `${styleName(style)}: ${line}` : styleName(style));
  button.title = line;
  box.querySelector(".forget")?.setAttribute("aria-label", t("gallery.forget", { style: styleName(style) }));
}

function forgetButton(style) {
  const button = make("button", "forget", "×");
  button.type = "button";
  button.addEventListener("click", () => forget(style));
  return button;
}

async function forget(style) {
  try {
    await call(`v1/styles/${encodeURIComponent(style.name)}`, { method: "DELETE" });
  } catch (error) {
    if (error.status !== 404) return tell(error, () => forget(style));
  }
  tiles.get(style.name).box.remove();
  tiles.delete(style.name);
  without(style.name, all()[0]);
  (place.querySelector(".tile[tabindex='0']") ?? place.querySelector(".tile"))?.focus();
  say(t("gallery.forgotten", { style: styleName(style) }));
}

/** The service's thumbnail of the style itself, for as long as there is no photograph to show it on. */
async function thumbnail(style) {
  if (!style.thumbnail || document.body.dataset.view !== "start") return;
  try {
    const url = URL.createObjectURL(await (await patiently(style.thumbnail)).blob());
    const image = make("img");
    image.src = url;
    image.alt = "";
    frieze.append(image);
    const tile = tiles.get(style.name);
    if (!tile.image.src) tile.image.src = url;
  } catch { /* a decoration */ }
}

/** Make a style of a painting: it comes first, and is chosen. */
export async function addPainting(file) {
  say(t("gallery.reading"));
  place.setAttribute("aria-busy", "true");
  try {
    const title = (file.name ?? "").replace(/\.[^.]*$/, "");
    const body = formOf({ picture: file, label: title || null });
    const style = await (await patiently("v1/styles", { method: "POST", body })).json();
    style.kind ??= "saved";
    tiles.get(style.name)?.box.remove();
    tiles.delete(style.name);
    const { image } = add(style, true);
    if (file.type !== "image/tiff") image.src = URL.createObjectURL(file);
    say(t("gallery.added", { style: styleName(style) }));
    place.scrollTo?.({ top: 0, left: 0 });
    choose(style);
    return style;
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** Preview `photo` in every style with `controls`. `idle` is awaited before each: the large preview comes first. */
export async function refresh({ photo, controls, size, idle, only }) {
  round.abort();
  round = new AbortController();
  const { signal } = round;
  const left = [...tiles.values()].filter((tile) => !only || only === tile.style);
  if (!only) for (const tile of left) tile.box.classList.add("old");
  const work = async () => {
    for (let tile; (tile = next(left)); ) {
      await idle();
      if (signal.aborted) return;
      await renew(tile, { photo, controls, size, signal });
    }
  };
  await Promise.all([work(), work()]);
}

function next(left) {
  const { innerHeight, innerWidth } = window;
  const chosen = left.findIndex(({ style }) => style === look.a || style === look.b);
  if (chosen >= 0) return left.splice(chosen, 1)[0];
  const seen = left.findIndex(({ box }) => {
    const at = box.getBoundingClientRect();
    return at.bottom > 0 && at.top < innerHeight && at.right > 0 && at.left < innerWidth;
  });
  return left.splice(Math.max(0, seen), 1)[0];
}

async function renew(tile, { photo, controls, size, signal }) {
  try {
    const blob = await preview(photo, { styles: [{ name: tile.style.name, weight: 1 }], controls, size, signal });
    if (signal.aborted) return;
    const old = tile.image.src;
    tile.image.src = URL.createObjectURL(blob);
    if (old.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(old), 2000);
    tile.box.classList.remove("old", "failed");
    tile.box.classList.add("live");
    pictures.dispatchEvent(new CustomEvent("picture", { detail: tile.style }));
  } catch (error) {
    if (error.name === "AbortError") return;
    tile.box.classList.add("failed");
    if (error.status === 0 || error.status === 401) throw error;
  }
}

/** Bring the chosen style's tile into sight, within the gallery only. */
export function reveal() {
  const box = tiles.get(look.a?.name)?.box;
  if (!box) return;
  const [inner, outer] = [box.getBoundingClientRect(), place.getBoundingClientRect()];
  place.scrollBy({ left: inner.left - outer.left - outer.width / 3, top: inner.top - outer.top - outer.height / 3 });
}

/** Show which styles are chosen, and let Tab reach the first of them. */
export function mark() {
  for (const { style, button, box } of tiles.values()) {
    const slot = style === look.a ? "a" : style === look.b ? "b" : "";
    button.setAttribute("aria-pressed", String(Boolean(slot)));
    box.dataset.slot = look.b ? { a: "1", b: "2" }[slot] ?? "" : "";
    button.tabIndex = style === look[look.slot] ? 0 : -1;
  }
  if (!place.querySelector(".tile[tabindex='0']")) {
    const first = place.querySelector(".tile");
    if (first) first.tabIndex = 0;
  }
}

function keys(event) {
  const buttons = [...place.querySelectorAll(".tile")];
  const at = buttons.indexOf(event.target);
  if (at < 0) return;
  const top = buttons[0].getBoundingClientRect().top;
  const second = buttons.findIndex((each) => each.getBoundingClientRect().top > top + 4);
  const wide = second < 0 ? buttons.length : second;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: second < 0 ? 1 : wide, ArrowUp: second < 0 ? -1 : -wide };
  const to = { Home: 0, End: buttons.length - 1 }[event.key] ?? (event.key in steps ? at + steps[event.key] : -1);
  if (event.key === "Delete") place.querySelector(".tile:focus + .forget")?.click();
  if (to < 0 || to >= buttons.length) return;
  event.preventDefault();
  for (const each of buttons) each.tabIndex = -1;
  buttons[to].tabIndex = 0;
  buttons[to].focus();
  buttons[to].scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function startGallery() {
  place.addEventListener("keydown", keys);
  document.addEventListener("languagechange", () => { for (const tile of tiles.values()) name(tile); });
}
