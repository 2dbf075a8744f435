// The look that is being made: two styles, their mix, the controls. Whoever changes it says so by `changed`.

import { styleName, t } from "./strings.js";

export const look = {
  a: null,
  b: null,
  mix: 0.5, // the share of b
  slot: "a", // the one that the gallery fills
  controls: {}, // by the service's names
};

export const changes = new EventTarget();

/** Tell of a change. `draft` while a slider moves: an answer soon matters more than a large one. */
export function changed(what, draft = false) {
  changes.dispatchEvent(new CustomEvent("change", { detail: { what, draft } }));
}

/** The styles with their weights, as the service takes them. Empty if none is chosen. */
export function weighted() {
  if (!look.a) return [];
  if (!look.b) return [{ name: look.a.name, weight: 1 }];
  return [{ name: look.a.name, weight: round(1 - look.mix) }, { name: look.b.name, weight: round(look.mix) }]
    .filter((part) => part.weight > 0);
}

function round(x) { return Math.round(x * 1000) / 1000; }

/** The look's styles in words. */
export function inWords() {
  if (!look.a) return t("mix.none");
  return look.b ? t("stage.of", { a: styleName(look.a), b: styleName(look.b) }) : styleName(look.a);
}

/** Fill the active slot, or empty it if the style is in it already and another is there. */
export function choose(style) {
  if (look.slot === "b" && style === look.a) return;
  look[look.slot] = style;
  changed("styles");
}

export function takeSlot(slot) {
  look.slot = slot;
  changed("slot");
}

export function oneStyle() {
  look.b = null;
  look.slot = "a";
  changed("styles");
}

/** Forget a style that the service no longer has. */
export function without(name, substitute) {
  if (look.b?.name === name) look.b = null;
  if (look.a?.name === name) {
    look.a = look.b ?? substitute;
    look.b = null;
  }
  look.slot = "a";
  changed("styles");
}
