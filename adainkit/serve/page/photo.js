// The photograph at hand, and its copy at the service, which is sent again whenever the service has let go of it.

import { call, formOf, patiently } from "./api.js";

let copies = new WeakMap(); // blob -> promise of {id, width, height}

/** The service's copy of a picture or mask: {id, width, height}; sent once, or `anew`. */
export function copyOf(blob, anew = false) {
  if (anew || !copies.has(blob)) {
    const sent = patiently("v1/pictures", { method: "POST", body: formOf({ picture: blob }) })
      .then((response) => response.json());
    sent.catch(() => copies.delete(blob));
    copies.set(blob, sent);
  }
  return copies.get(blob);
}

/** Preview of `blob`: a Blob. A copy that the service has dropped meanwhile is sent again, once. */
export async function preview(blob, { styles, controls, size, mask, signal }) {
  for (let again = false; ; again = true) {
    const copy = await copyOf(blob);
    const veil = mask ? await copyOf(mask) : null;
    signal?.throwIfAborted();
    try {
      const json = { styles, controls, size, mask: veil?.id ?? null };
      const response = await patiently(`v1/pictures/${copy.id}/preview`, { method: "POST", json, signal });
      return await response.blob();
    } catch (error) {
      if (error.status !== 404 || again) throw error;
      copies = new WeakMap();
    }
  }
}

/** Something that <img> and canvas can show: the file itself, or, where the browser cannot read it, the service's JPEG. */
export async function shown(blob) {
  try {
    const bitmap = await createImageBitmap(blob);
    return { url: URL.createObjectURL(blob), width: bitmap.width, height: bitmap.height };
  } catch {
    const copy = await copyOf(blob);
    const response = await call(`v1/pictures/${copy.id}/thumbnail?size=1600`);
    return { url: URL.createObjectURL(await response.blob()), width: copy.width, height: copy.height };
  }
}
