// The page: what is open, and what follows from a change.

import { ServiceError } from "./api.js";
import { isBrushing, brushing, finalMask, maskFile, newMask, startBrush } from "./brush.js";
import { Camera } from "./camera.js";
import { frameOf } from "./film.js";
import { addPainting, all, loadStyles, mark, refresh, reveal, startGallery } from "./gallery.js";
import { startIntake } from "./intake.js";
import { changed, changes, inWords, look, weighted } from "./look.js";
import { hush, say, tell } from "./notices.js";
import { galleryControls, loadControls, measure, startPanel } from "./panel.js";
import { copyOf, preview, shown } from "./photo.js";
import { finalSize } from "./place.js";
import { Previews } from "./previews.js";
import { sample } from "./sample.js";
import { offerFormats, saveFilm, savePicture, startSave } from "./save.js";
import { caption, hang, paintAfter, shape, startStage, wanted } from "./stage.js";
import { switchLanguage, t, translate } from "./strings.js";

const get = (id) => document.getElementById(id);
const firstStyle = "stained-glass";
let open = null; // {kind: photo | film | camera, blob, name, width, height, film}
let abilities = { films: false, live: true, limits: {} };
let camera = null;

const previews = new Previews({
  make: async (size, signal) => {
    const [styles, blob] = [weighted(), open.blob];
    const got = await preview(blob, { styles, controls: look.controls, size, mask: maskFile(), signal });
    return { bitmap: await createImageBitmap(got), blob };
  },
  show: ({ bitmap, blob }, draft) => {
    if (blob !== open?.blob) return bitmap.close();
    paintAfter(bitmap);
    if (!draft) said();
  },
  fail: (error) => tell(error, () => repaint()),
  busy: (on, long) => {
    get("frame").setAttribute("aria-busy", String(on));
    get("busy").hidden = !long || open?.kind === "camera";
  },
  fine: wanted,
});

let lastSaid = "";
function said() {
  const now = inWords();
  if (now !== lastSaid) say(t("live.styled", { style: now }));
  lastSaid = now;
}

function repaint(draft = false) {
  if (!open || !look.a) return;
  if (open.kind === "camera") camera?.tellLook();
  else previews.ask(draft);
}

function paintGallery(only) {
  if (!open) return;
  const [photo, controls] = [open.blob, galleryControls()];
  refresh({ photo, controls, size: 224, idle: () => previews.idle(), only }).catch((error) => tell(error, paintGallery));
}

let later = 0;
function onChange({ detail: { what, draft } }) {
  mark();
  saveText();
  if (what === "slot" || what === "size") return;
  caption();
  repaint(draft);
  if (what === "styles" || what === "mix" || what === "alpha") return;
  clearTimeout(later); // the tiles follow when the slider rests
  later = setTimeout(() => paintGallery(), draft ? 900 : 300);
}

function tooLarge(file) {
  const most = abilities.limits?.bytes;
  if (!most || file.size <= most) return false;
  const million = (x) => Math.round(x / 1e5) / 10;
  const words = { name: file.name, have: million(file.size), most: million(most) };
  tell(new ServiceError(t("error.large", words), t("error.large.remedy")));
  return true;
}

async function openPicture(file, extra = {}) {
  if (tooLarge(file)) return;
  let seen;
  try {
    seen = await shown(file);
  } catch (error) {
    if (error.status === 0 || error.status === 401) return tell(error, () => openPicture(file, extra));
    return tell(new ServiceError(t("error.show", { name: file.name }), error.remedy || t("error.show.remedy")));
  }
  const firstTime = !open;
  if (extra.kind !== "camera") stopCamera();
  previews.drop();
  hush();
  const name = extra.name ?? file.name?.replace(/\.[^.]*$/, "") ?? "";
  open = { kind: "photo", blob: file, name, width: seen.width, height: seen.height, ...extra };
  if (open.kind !== "photo") brushing(false);
  view();
  hang({ ...seen, name });
  newMask(seen.width, seen.height);
  measure(seen.width, seen.height);
  say(t("live.loaded", { name, w: seen.width, h: seen.height }));
  if (!look.a) look.a = all().find((style) => style.name === firstStyle) ?? all()[0];
  changed("styles");
  if (firstTime) reveal();
  paintGallery();
}

async function openFilm(film) {
  if (!abilities.films) return tell(new ServiceError(t("error.film.none"), t("error.film.none.remedy")));
  if (tooLarge(film)) return;
  try {
    await openPicture(await frameOf(film), { kind: "film", film, name: film.name });
  } catch (error) {
    tell(error);
  }
}

async function openPainting(file) {
  try {
    const style = await addPainting(file);
    if (open) paintGallery(style);
    else look.a = style;
  } catch (error) {
    tell(error, () => openPainting(file));
  }
}

async function openCamera() {
  if (open?.kind === "camera") return;
  const video = get("live-before");
  camera = new Camera({
    video,
    show: (bitmap, pace) => { paintAfter(bitmap); caption(t("camera.live", { n: pace.toFixed(pace < 10 ? 1 : 0) })); },
    look: () => ({ styles: weighted(), controls: look.controls }),
    fail: (error) => { tell(error, openCamera); freeze(); },
  });
  try {
    const frame = await camera.start();
    await openPicture(frame, { kind: "camera", name: t("camera.name") });
    shape(video.videoWidth, video.videoHeight);
    video.hidden = false;
    camera.live();
    say(t("camera.on"));
  } catch (error) {
    stopCamera();
    tell(error, openCamera);
  }
}

function stopCamera() {
  camera?.stop();
  camera = null;
  get("live-before").hidden = true;
}

/** The camera's frame becomes a photograph. */
async function freeze() {
  const last = open?.blob;
  const shot = await camera?.shot().catch(() => null);
  if (camera) say(t("camera.off"));
  if (shot ?? last) await openPicture(shot ?? last, { name: t("camera.name") });
}

function view() {
  document.body.dataset.view = "work";
  document.body.dataset.kind = open.kind;
  get("start").hidden = true;
  get("work").hidden = false;
  get("save-picture").hidden = open.kind !== "photo";
  get("paint").hidden = open.kind !== "photo";
  saveText();
}

function saveText() {
  if (!open) return;
  const texts = { photo: "save.size", film: "save.film", camera: "camera.shot" };
  const [w, h] = finalSize(open.width, open.height, look.controls);
  get("save-text").textContent = t(texts[open.kind], { w, h });
}

function save(event) {
  event.preventDefault();
  if (!open || !look.a) return;
  if (open.kind === "camera") return freeze();
  if (open.kind === "film") return saveFilm(open.film);
  const { blob, name } = open;
  const [width, height] = finalSize(open.width, open.height, look.controls);
  return savePicture({ name, width, height, copy: (anew) => copyOf(blob, anew), mask: finalMask() });
}

async function trySample() {
  const buttons = [get("sample")];
  for (const button of buttons) button.disabled = true;
  await openPicture(await sample(), { name: t("sample.name") });
  for (const button of buttons) button.disabled = false;
}

async function load() {
  try {
    abilities = await loadControls();
    offerFormats(abilities.formats);
    await loadStyles();
    hush();
  } catch (error) {
    tell(error, load);
  }
}

function start() {
  translate();
  startStage();
  startGallery();
  startPanel();
  startSave();
  startBrush(() => repaint());
  startIntake({ picture: (file) => openPicture(file), film: openFilm, painting: openPainting });
  changes.addEventListener("change", onChange);
  get("camera").addEventListener("click", openCamera);
  get("start-camera").addEventListener("click", openCamera);
  get("sample").addEventListener("click", trySample);
  get("panel").addEventListener("submit", save);
  get("language").addEventListener("click", () => switchLanguage());
  document.addEventListener("languagechange", () => { languageButton(); saveText(); say(t("live.language")); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "c" && !isBrushing() && event.target === document.body) get("compare").click();
  });
  languageButton();
  load();
}

function languageButton() {
  const button = get("language");
  button.textContent = t("language");
  button.lang = document.documentElement.lang.startsWith("zh") ? "en" : "zh-CN";
}

start();
