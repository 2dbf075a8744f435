// A film: one frame of it stands on the wall while the look is chosen.

import { ServiceError } from "./api.js";
import { t } from "./strings.js";

/** A frame from near a film's beginning, as a JPEG file. */
export async function frameOf(file) {
  const video = document.createElement("video");
  video.muted = true;
  video.preload = "auto";
  video.src = URL.createObjectURL(file);
  try {
    await event(video, "loadeddata");
    video.currentTime = Math.min(1, (Number.isFinite(video.duration) ? video.duration : 0) / 3);
    if (video.seeking) await event(video, "seeked");
    return await still(video, file.name);
  } catch {
    throw new ServiceError(t("error.film.show", { name: file.name }), t("error.film.show.remedy"));
  } finally {
    URL.revokeObjectURL(video.src);
  }
}

function event(video, name) {
  return new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener("error", reject, { once: true });
    setTimeout(reject, 15_000);
  });
}

/** What a video element shows now, as a JPEG file; its longest side at most `longest`. */
export async function still(video, name, longest = Infinity, canvas = document.createElement("canvas"), quality = 0.93) {
  const shrink = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  canvas.width = Math.round(video.videoWidth * shrink);
  canvas.height = Math.round(video.videoHeight * shrink);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
  if (!blob) throw new Error("no frame");
  return new File([blob], `${name.replace(/\.[^.]*$/, "")}.jpg`, { type: "image/jpeg" });
}
