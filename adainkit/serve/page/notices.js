// What is told: errors in sight and aloud, small news to screen readers only.

import { setToken, ServiceError } from "./api.js";
import { t } from "./strings.js";

const place = document.getElementById("notices");
const live = document.getElementById("live");

/** Say it to screen readers. */
export function say(text) {
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

/** Show an error with its remedy. The same one is shown once. `retry` puts a button there. */
export function tell(error, retry) {
  if (error?.name === "AbortError") return;
  if (!(error instanceof ServiceError)) console.warn(error);
  const same = [...place.children].find((each) => each.dataset.text === error.message);
  same?.remove();
  const notice = make("div", "notice");
  notice.dataset.text = error.message;
  const words = make("div", "notice-words");
  words.append(make("strong", "", error.message), make("p", "", error.remedy ?? ""));
  notice.append(words);
  if (error.status === 401) words.append(asksToken(notice, retry));
  const row = make("div", "notice-buttons");
  if (retry && error.status !== 401) row.append(button(t("notice.retry"), () => { notice.remove(); retry(); }));
  row.append(button(t("notice.close"), () => notice.remove()));
  notice.append(row);
  place.append(notice);
  while (place.children.length > 3) place.firstChild.remove();
}

/** Take away what is out of date. */
export function hush() { place.replaceChildren(); }

function asksToken(notice, retry) {
  const form = make("form", "token");
  const label = make("label", "", t("token.label"));
  const field = make("input");
  field.type = "password";
  field.autocomplete = "off";
  label.append(field);
  const go = make("button", "main small", t("token.do"));
  form.append(label, go);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(field.value);
    notice.remove();
    (retry ?? (() => location.reload()))();
  });
  setTimeout(() => field.focus());
  return form;
}

function button(text, press) {
  const element = make("button", "plain small", text);
  element.type = "button";
  element.addEventListener("click", press);
  return element;
}

/** A new element. */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}
