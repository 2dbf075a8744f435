// The panel: the two styles and their mix, and a row for each control that the service describes.

import { patiently } from "./api.js";
import { pictureOf, pictures } from "./gallery.js";
import { changed, changes, inWords, look, oneStyle, takeSlot } from "./look.js";
import { make } from "./notices.js";
import { has, styleName, t } from "./strings.js";

const get = (id) => document.getElementById(id);
const place = get("controls");
const usual = 1024; // the longest side at which strokes are as the model draws them; larger pictures take bolder ones
let described = [];
let bold = 1; // the scale at which this picture's strokes are as wide as those of a picture of `usual`
let longest = usual;
let ownScale = false; // whether the person has set it

/** What the service can: {controls, films, live, formats, limits}. The panel is made from it. */
export async function loadControls() {
  const told = await (await patiently("v1/controls")).json();
  const abilities = Array.isArray(told) ? { controls: told, films: true } : told; // the job says what cannot be done
  described = abilities.controls.filter((control) => control.kind !== "pixels");
  for (const control of described) look.controls[control.name] = control.default;
  build();
  return { films: false, live: true, formats: ["png", "jpeg", "webp"], limits: {}, ...abilities };
}

/** A new photograph: its strokes are, at first, as bold as those of a smaller one. */
export function measure(width, height) {
  longest = Math.max(width, height);
  bold = Math.max(1, Math.round((longest / usual) * 4) / 4);
  if ("scale" in look.controls && !ownScale) look.controls.scale = bold;
  build();
}

/** The controls for previews of every style: the strength is theirs, so that they can be compared. */
export function galleryControls() {
  const rest = { ...look.controls };
  delete rest.alpha;
  return rest;
}

function build() {
  for (const row of place.querySelectorAll(".control")) row.remove();
  for (const control of described) place.append(control.kind === "choice" ? choiceRow(control) : numberRow(control));
  showReset();
}

function words(control) { return has(`control.${control.name}`) ?? control.label ?? control.name.replaceAll("_", " "); }

function helpOf(control, row) {
  const help = make("p", "help", has(`help.${control.name}`) ?? control.help ?? "");
  help.id = `help-${control.name}`;
  row.append(help);
  return help.id;
}

function numberRow(control) {
  const { name } = control;
  const row = make("div", "control");
  row.dataset.name = name;
  const label = make("label", "", words(control));
  const input = make("input");
  const value = make("output");
  input.type = "range";
  input.id = label.htmlFor = `control-${name}`;
  value.htmlFor = input.id;
  const scale = scaleOf(control);
  Object.assign(input, { min: 0, max: 1, step: 0.01, value: scale.place(look.controls[name]) });
  const show = () => {
    value.textContent = scale.text(look.controls[name]);
    input.setAttribute("aria-valuetext", value.textContent);
    input.style.setProperty("--fill", `${input.value * 100}%`);
  };
  const take = (draft) => {
    look.controls[name] = scale.value(Number(input.value));
    if (name === "scale") ownScale = true;
    show();
    changed(name, draft);
  };
  input.addEventListener("input", () => take(true));
  input.addEventListener("change", () => take(false));
  row.append(label, value, input);
  input.setAttribute("aria-describedby", helpOf(control, row));
  show();
  return row;
}

/** How a slider's place from 0 to 1 becomes a number: in proportion, or, over wide ranges, by ratio. */
function scaleOf({ name, low, high }) {
  if (low > 0 && high / low > 8) {
    const top = name === "scale" ? Math.min(high, Math.max(4, bold * 4, longest / 256)) : high;
    const ratio = Math.log(top / low);
    return {
      place: (value) => Math.log(value / low) / ratio,
      value: (at) => Math.round(low * Math.exp(ratio * at) * 20) / 20,
      text: (value) => t("value.scale", { n: Math.round(value * 10) / 10 }),
    };
  }
  return {
    place: (value) => (value - low) / (high - low),
    value: (at) => Math.round((low + at * (high - low)) * 1000) / 1000,
    text: (value) => (low === 0 && high === 1 ? `${Math.round(value * 100)} %` : String(value)),
  };
}

function choiceRow(control) {
  const { name } = control;
  const row = make("div", "control");
  row.dataset.name = name;
  const label = make("span", "control-label", words(control));
  label.id = `label-${name}`;
  const group = make("div", "choice");
  group.setAttribute("role", "radiogroup");
  group.setAttribute("aria-labelledby", label.id);
  for (const option of control.choices) {
    const each = make("label");
    const radio = make("input");
    Object.assign(radio, { type: "radio", name: `control-${name}`, value: option });
    radio.checked = (look.controls[name] ?? "none") === option;
    radio.addEventListener("change", () => {
      look.controls[name] = option;
      showReset();
      changed(name);
    });
    each.append(radio, make("span", "", has(`choice.${name}.${option}`) ?? option));
    group.append(each);
  }
  row.append(label, group);
  group.setAttribute("aria-describedby", helpOf(control, row));
  return row;
}

/** There is something to reset where a control is not as it was at first. */
function showReset() {
  get("reset").disabled = described.every((control) => look.controls[control.name] === initial(control));
}

function initial(control) { return control.name === "scale" ? bold : control.default; }

function reset() {
  ownScale = false;
  for (const control of described) look.controls[control.name] = initial(control);
  build();
  changed("all");
}

function slot(which) {
  const style = look[which];
  const button = get(`slot-${which}`);
  const active = look.slot === which;
  button.setAttribute("aria-pressed", String(active));
  button.classList.toggle("empty", !style);
  button.hidden = which === "b" && !look.a;
  const text = style ? styleName(style) : t(which === "a" ? "mix.none" : active ? "mix.choose" : "mix.add");
  const picture = make(style && pictureOf(style) ? "img" : "span", "swatch", style ? "" : "+");
  if (picture.tagName === "IMG") Object.assign(picture, { src: pictureOf(style), alt: "" });
  else picture.setAttribute("aria-hidden", "true");
  button.replaceChildren(picture, make("span", "slot-name", text));
  if (style) button.setAttribute("aria-label", t(`mix.slot.${which}`, { style: styleName(style) }));
  else button.removeAttribute("aria-label");
}

function showMix() {
  slot("a");
  slot("b");
  get("mix-row").hidden = !look.b;
  const x = Math.round((1 - look.mix) * 100);
  if (look.b) {
    const values = { a: styleName(look.a), b: styleName(look.b), x, y: 100 - x };
    get("mix").setAttribute("aria-valuetext", t("mix.value", values));
  }
  get("mix").style.setProperty("--fill", `${look.mix * 100}%`);
  document.title = look.a ? `${inWords()} · adainkit` : "adainkit";
}

export function startPanel() {
  get("slot-a").addEventListener("click", () => takeSlot("a"));
  get("slot-b").addEventListener("click", () => takeSlot("b"));
  get("unmix").addEventListener("click", () => { oneStyle(); get("slot-a").focus(); });
  const mix = (draft) => { look.mix = Number(get("mix").value); showMix(); changed("mix", draft); };
  get("mix").addEventListener("input", () => mix(true));
  get("mix").addEventListener("change", () => mix(false));
  get("reset").addEventListener("click", reset);
  changes.addEventListener("change", () => { showMix(); showReset(); });
  pictures.addEventListener("picture", (event) => {
    if (event.detail === look.a) slot("a");
    if (event.detail === look.b) slot("b");
  });
  document.addEventListener("languagechange", () => { build(); showMix(); });
  showMix();
}
