// Ways in: choosing, dropping, pasting. What comes is a photograph, a film or, dropped on that half, a painting.

import { ServiceError } from "./api.js";
import { tell } from "./notices.js";
import { t } from "./strings.js";

const get = (id) => document.getElementById(id);
const films = /\.(mp4|m4v|mov|webm|mkv|avi)$/i;
const pictures = /\.(jpe?g|png|webp|gif|bmp|tiff?|hei[cf]|avif|jxl)$/i;

/** "film", "picture" or "" (neither). */
export function kindOf(file) {
  if (file.type.startsWith("video/") || films.test(file.name)) return "film";
  return file.type.startsWith("image/") || pictures.test(file.name) ? "picture" : "";
}

function sort(file, style, take) {
  const kind = kindOf(file);
  if (!kind || (style && kind === "film")) {
    tell(new ServiceError(t("error.kind", { name: file.name }), t("error.kind.remedy")));
  } else if (style) take.painting(file);
  else take[kind](file);
}

function chooser(input, buttons, style, take) {
  for (const button of buttons) button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files[0]) sort(input.files[0], style, take);
    input.value = ""; // the same file may be chosen again
  });
}

function dropping(take) {
  const veil = get("drop");
  const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let leave = 0;
  const hide = () => { veil.hidden = true; };
  document.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    clearTimeout(leave);
    leave = setTimeout(hide, 400); // some browsers never say that a drag was given up
    veil.hidden = false;
    const style = onStyle(event);
    get("drop-style").classList.toggle("over", style);
    get("drop-photo").classList.toggle("over", !style);
  });
  document.addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    const style = onStyle(event);
    clearTimeout(leave);
    hide();
    for (const file of style ? event.dataTransfer.files : [...event.dataTransfer.files].slice(0, 1)) sort(file, style, take);
  });
  const onStyle = (event) => {
    if (document.body.dataset.view === "start") return false;
    const box = get("drop-style").getBoundingClientRect();
    return event.clientX >= box.left && event.clientY >= box.top && event.clientX <= box.right && event.clientY <= box.bottom;
  };
}

function pasting(take) {
  document.addEventListener("paste", (event) => {
    if (event.target.matches?.("input[type=password], input[type=text]")) return;
    const file = event.clipboardData?.files?.[0];
    if (file) sort(file, false, take);
    else tell(new ServiceError(t("error.clipboard"), t("error.clipboard.remedy")));
  });
}

/** `take` has picture, film and painting, which are given files. */
export function startIntake(take) {
  chooser(get("file"), [get("open"), get("start-open")], false, take);
  chooser(get("file-style"), [get("own")], true, take);
  dropping(take);
  pasting(take);
}
