// The end: the picture at full size, or the film, as a file of the person's.

import { call, formOf, pause, patiently } from "./api.js";
import { look, weighted } from "./look.js";
import { say, tell } from "./notices.js";
import { LARGE } from "./place.js";
import { t } from "./strings.js";

const get = (id) => document.getElementById(id);
const endings = { png: "png", jpeg: "jpg", webp: "webp" };
const names = { png: "PNG", jpeg: "JPEG", webp: "WebP" };
const films = { "video/mp4": "mp4", "video/quicktime": "mov", "video/x-matroska": "mkv", "video/webm": "webm" };
const unfit = /[^\p{L}\p{N} _-]+/gu; // for a file's name
let working = null;

export function format() { return document.querySelector("input[name=format]:checked")?.value ?? "png"; }

export function offerFormats(formats) {
  const known = formats.filter((each) => each in endings);
  get("formats").replaceChildren(...known.map((each) => {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "format", value: each, checked: each === "jpeg" });
    const text = document.createElement("span");
    text.textContent = names[each];
    label.append(radio, text);
    radio.addEventListener("change", quality);
    return label;
  }));
  quality();
}

function quality() {
  get("quality-row").hidden = format() === "png";
  get("quality-out").textContent = get("quality").value;
  get("quality").style.setProperty("--fill", `${(get("quality").value - 50) * 2}%`);
}

/** The fields of a request for the look. */
function fields() {
  const parts = weighted();
  return { style: parts.map((part) => part.name), weight: parts.map((part) => part.weight), ...look.controls };
}

function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(t("save.done", { name }));
}

function fileName(name, ending) {
  const stem = name.replace(/\.[^.]*$/, "").replace(unfit, "_") || "picture";
  const styles = [look.a, look.b].filter(Boolean).map((style) => (style.kind === "saved" ? style.label : style.name));
  return `${stem}-${styles.join("-").replace(unfit, "_")}.${ending}`;
}

/** Show that work goes on; `share` from 0 to 1, or null where nobody knows. */
function progress(text, share = null) {
  get("progress").hidden = false;
  get("save").hidden = true;
  get("progress-text").textContent = text;
  if (share === null) get("bar").removeAttribute("value");
  else get("bar").value = share;
}

async function during(work) {
  working = new AbortController();
  const heldFocus = document.activeElement === get("save");
  try {
    await work(working.signal);
  } catch (error) {
    if (error.name === "AbortError") say(t("save.stopped"));
    else tell(error, () => get("save").click());
  } finally {
    working = null;
    get("progress").hidden = true;
    get("save").hidden = false;
    if (heldFocus) get("save").focus();
  }
}

/** Paint a picture at full size and hand it over. `copy` gives the service's copy of it, `mask` is a promise. */
export function savePicture({ name, width, height, copy, mask }) {
  return during(async (signal) => {
    const size = { w: width, h: height };
    progress(t("save.working", size));
    if (document.activeElement === document.body) get("stop").focus();
    const kind = format();
    const asJob = width * height > LARGE;
    const make = async (anew) => patiently("v1/stylize", {
      method: "POST", signal, accept: asJob ? "application/json" : undefined,
      body: formOf({
        picture_id: (await copy(anew)).id, ...fields(), mask: await mask, format: kind,
        quality: kind === "png" ? null : get("quality").value,
      }),
    });
    const response = await make(false).catch((error) => (error.status === 404 ? make(true) : Promise.reject(error)));
    const told = (p) => t("save.running", { ...size, p });
    const result = asJob ? await made(await response.json(), signal, told) : await response.blob();
    hand(result, fileName(name, endings[kind]));
  });
}

/** Paint a film as a job, and hand it over. */
export function saveFilm(file) {
  return during(async (signal) => {
    progress(t("film.sending"));
    const body = formOf({ kind: "film", film: file, ...fields() });
    const job = await (await patiently("v1/jobs", { method: "POST", body, signal })).json();
    const result = await made(job, signal, (p) => t("film.running", { p }));
    say(t("film.done"));
    hand(result, fileName(file.name, films[result.type.split(";")[0]] ?? "mp4"));
  });
}

/** What a job makes, as a Blob. `told(percent)` says that it goes on; who stops waiting stops the job. */
async function made(job, signal, told) {
  try {
    await follow(job.id, signal, told);
  } catch (error) {
    if (error.name === "AbortError") await call(`v1/jobs/${job.id}`, { method: "DELETE" }).catch(() => {});
    throw error;
  }
  return (await call(`v1/jobs/${job.id}/result`, { signal })).blob();
}

/** Until the job is done: its events, or, where they do not come through, asking now and then. */
async function follow(id, signal, told) {
  for (;;) {
    let state = null;
    try {
      for await (const each of events(id, signal)) {
        state = each;
        if (over(each, told)) return;
      }
    } catch (error) {
      if (error.name === "AbortError" || error.failed) throw error;
    }
    state = await (await patiently(`v1/jobs/${id}`, { signal })).json();
    if (over(state, told)) return;
    await pause(700, signal);
  }
}

async function* events(id, signal) {
  const response = await call(`v1/jobs/${id}/events`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value.replaceAll("\r", "");
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data.trim()) yield JSON.parse(data);
    }
  }
}

/** Show a job's state; whether it is done. Raises where it failed. */
function over(job, told) {
  if (job.state === "done") return true;
  if (job.state === "failed" || job.state === "stopped") {
    const error = new Error(job.error ?? job.state);
    throw Object.assign(error, { failed: true, remedy: job.remedy ?? "" });
  }
  const share = Number(job.progress) || 0;
  if (job.state === "queued" || job.state === "waiting") progress(t("film.waiting"));
  else progress(told(Math.round(share * 100)), share);
  return false;
}

export function startSave() {
  get("stop").addEventListener("click", () => working?.abort());
  get("quality").addEventListener("input", quality);
}
