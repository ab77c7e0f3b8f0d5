// Languages: Korean, English for browsers that do not prefer Korean, and a switch whose choice
// this browser stores.

import * as storage from "./storage.js";

const chosen = new URLSearchParams(location.search).get('lang') ?? storage.get('language');
const isKorean = (navigator.languages ?? [navigator.language]).some((tag) => /^ko\b/i.test(tag));

let current = ['ko', 'en'].includes(chosen) ? chosen : isKorean ? 'ko' : 'en';

/** The language now: 'ko' or 'en'. */
export const language = () => current;

/** Attributes that name a message in the HTML, and what to do with its text. */
const FILLS = {
  text: (element, text) => (element.textContent = text),
  label: (element, text) => element.setAttribute('aria-label', text),
  hint: (element, text) => (element.placeholder = text),
  title: (element, text) => (element.title = text),
};

const DIRECTED = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;

/**
 * A text that turns nothing around it: a name of right-to-left letters or direction marks, beside a
 * number in one text, would show 004 as 400. The text stands in an isolate (UAX #9), and marks
 * inside cannot end it.
 */
export const isolate = (text) => (DIRECTED.test(text) ? `\u2068${text.replace(/[\u2066-\u2069]/g, '')}\u2069` : text);

/**
 * Gives t(key, ...values), which looks up a message in the current language. `messages` holds per
 * language and key a text or a function of values, of which texts are isolated; a key missing in
 * English falls back to Korean.
 */
export const translator = (messages) => (key, ...values) => {
  const text = messages[current][key] ?? messages.ko[key];
  if (text === undefined) throw new Error(`no message ${key}`);
  return typeof text === 'function' ? text(...values.map((value) => (typeof value === 'string' ? isolate(value) : value))) : text;
};

/**
 * Translates the page: fills the elements with data-text, data-label (aria-label), data-hint
 * (placeholder) or data-title (tooltip), and wires the language switch. `onSwitch` is called after
 * a switch, to render again. Gives t of `translator`.
 */
export function translatePage(messages, onSwitch = () => {}) {
  const t = translator(messages);
  const buttons = document.querySelectorAll('[data-switch-language]');
  const fill = () => {
    document.documentElement.lang = current;
    for (const [name, put] of Object.entries(FILLS)) {
      for (const element of document.querySelectorAll(`[data-${name}]`)) put(element, t(element.dataset[name]));
    }
    for (const button of buttons) {
      button.textContent = current === 'ko' ? 'English' : '한국어';
      button.lang = current === 'ko' ? 'en' : 'ko';
    }
  };
  for (const button of buttons) {
    button.addEventListener('click', () => {
      current = current === 'ko' ? 'en' : 'ko';
      storage.set('language', current);
      fill();
      onSwitch();
    });
  }
  fill();
  return t;
}

/** Day and time of a timestamp, in this language and in the browser's time zone; `medium`: to the second. */
export const formatTime = (timestamp, timeStyle = 'short') =>
  new Date(timestamp).toLocaleString(current === 'ko' ? 'ko-KR' : 'en-GB', { dateStyle: 'short', timeStyle });
