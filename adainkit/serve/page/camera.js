// The camera live: one frame at a time goes to the service, and comes back painted, as fast as it can.

import { accessToken, address, ServiceError } from "./api.js";
import { still } from "./film.js";
import { t } from "./strings.js";

const SOON = 90; // milliseconds that a frame may take before the next is made smaller

export class Camera {
  /** `show(bitmap, frames a second)`; `fail(error)` when it ends by itself; `look()` gives styles and controls. */
  constructor({ video, show, fail, look }) {
    Object.assign(this, { video, show, fail, look });
    this.size = 320;
    this.canvas = document.createElement("canvas");
  }

  /** Switch on. `ServiceError` where the browser gives no camera. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new ServiceError(t("error.camera.insecure"), t("error.camera.insecure.remedy"));
    }
    try {
      const wish = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "environment" } };
      this.stream = await navigator.mediaDevices.getUserMedia(wish);
    } catch (error) {
      const kind = error.name === "NotFoundError" ? "missing" : "denied";
      throw new ServiceError(t(`error.camera.${kind}`), t(`error.camera.${kind}.remedy`));
    }
    this.video.srcObject = this.stream;
    await this.video.play();
    return this.shot();
  }

  /** What the camera sees now, as a file, in full. */
  shot() { return still(this.video, t("camera.name")); }

  /** Send frames; until `stop`. */
  live() {
    const url = address("v1/live");
    url.protocol = url.protocol.replace("http", "ws");
    this.socket = new WebSocket(url);
    this.socket.binaryType = "blob";
    this.socket.addEventListener("open", () => { this.tellLook(accessToken()); this.send(); });
    this.socket.addEventListener("message", (event) => this.receive(event.data));
    this.socket.addEventListener("close", () => {
      if (this.stream) this.end(new ServiceError(t("error.camera.closed"), t("error.camera.closed.remedy")));
    });
  }

  tellLook(token) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const { styles, controls } = this.look();
    if (styles.length) this.socket.send(JSON.stringify({ ...(token ? { token } : {}), styles, controls }));
  }

  async send() {
    if (!this.stream || document.hidden) {
      if (this.stream) setTimeout(() => this.send(), 300);
      return;
    }
    this.since = performance.now();
    const frame = await still(this.video, "frame", this.size, this.canvas, 0.85);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(frame);
  }

  async receive(data) {
    if (typeof data === "string") return this.word(JSON.parse(data));
    const bitmap = await createImageBitmap(data);
    if (!this.stream) return bitmap.close();
    const took = performance.now() - this.since;
    this.pace = this.pace ? this.pace * 0.85 + took * 0.15 : took;
    const better = Math.min(640, Math.max(192, this.size * Math.sqrt(SOON / this.pace)));
    if (Math.abs(better - this.size) > 48) this.size = Math.round((this.size + better) / 2 / 16) * 16;
    this.show(bitmap, 1000 / this.pace);
    requestAnimationFrame(() => this.send());
  }

  word({ error, remedy }) {
    if (error) this.end(new ServiceError(error, remedy));
  }

  end(error) {
    this.stop();
    this.fail(error);
  }

  stop() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.socket?.close();
  }
}
