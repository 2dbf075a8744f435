// The service's /v1: one function that asks, and errors that say what happened and what helps.

import { ask } from "./place.js";
import { t } from "./strings.js";

let token = takeToken();

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) history.replaceState(null, "", location.pathname + location.search); // out of sight, and of the history
  try {
    if (given) sessionStorage.setItem("adainkit.token", given);
    return given ?? sessionStorage.getItem("adainkit.token") ?? "";
  } catch {
    return given ?? "";
  }
}

export function accessToken() { return token; }

export function setToken(value) {
  token = value.trim();
  try { sessionStorage.setItem("adainkit.token", token); } catch { /* private mode */ }
}

/** What went wrong, what helps, and the status (0: no answer at all). */
export class ServiceError extends Error {
  constructor(message, remedy = "", status = 0, wait = 0) {
    super(message);
    this.remedy = remedy;
    this.status = status;
    this.wait = wait;
  }
}

export function address(path) { return new URL(path, document.baseURI); }

/** The Response of a request that went well. `ServiceError` otherwise; an abort stays an AbortError. */
export async function call(path, { method = "GET", json, body, signal, accept } = {}) {
  const headers = accept ? { Accept: accept } : {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (json !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await ask(address(path), {
      method, headers, signal, body: json === undefined ? body : JSON.stringify(json),
      credentials: "omit", cache: method === "GET" ? "default" : "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(t("error.down"), t("error.down.remedy"));
  }
  if (!response.ok) throw await failure(response);
  return response;
}

/** `call`, again after a while for as long as the service is busy (429, 503). */
export async function patiently(path, options = {}, tries = 6) {
  for (let left = tries; ; left -= 1) {
    try {
      return await call(path, options);
    } catch (error) {
      if (left <= 1 || ![429, 503].includes(error.status)) throw error;
      await pause(Math.min(10, error.wait || 1) * 1000, options.signal);
    }
  }
}

async function failure(response) {
  const wait = Number(response.headers.get("Retry-After")) || 0;
  let told = {};
  try { told = await response.json(); } catch { /* a proxy's page, or nothing */ }
  if (response.status === 401) return new ServiceError(t("error.token"), t("error.token.remedy"), 401);
  const message = told.error ?? told.title ?? told.detail ?? `${response.status} ${response.statusText}`;
  return new ServiceError(String(message), String(told.remedy ?? ""), response.status, wait);
}

/** A promise for a while later, which an abort ends early. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("stopped", "AbortError"));
    });
  });
}

/** A multipart body; values that are lists become several fields. Nothing is sent for null. */
export function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each instanceof Blob) form.append(name, each, each.name ?? `${name}.png`);
      else if (each !== null && each !== undefined) form.append(name, String(each));
    }
  }
  return form;
}
