// Korean first; English for browsers that do not ask for Korean; and a switch that this browser remembers.

import { recall, remember } from "./storage.js";

const asked = new URLSearchParams(location.search).get('lang') ?? recall('language');
const preferred = (navigator.languages ?? [navigator.language]).some((tag) => /^ko\b/i.test(tag)) ? 'ko' : 'en';

/** 'ko' or 'en'. */
export let language = ['ko', 'en'].includes(asked) ? asked : preferred;

/**
 * A page's words: `words` holds a text or a function of values by key, for each language. Elements that name a key are filled at once:
 * data-text (its text), data-label (its aria-label), data-hint (its placeholder), data-title (its tooltip).
 * Gives t(key, ...values). `changed` is called after a switch, to render again.
 */
export function speak(words, changed = () => {}) {
  const t = (key, ...values) => {
    const text = words[language][key] ?? words.ko[key];
    if (text === undefined) throw new Error(`no words for ${key}`);
    return typeof text === 'function' ? text(...values) : text;
  };
  const fill = () => {
    document.documentElement.lang = language;
    for (const element of document.querySelectorAll('[data-text]')) element.textContent = t(element.dataset.text);
    for (const element of document.querySelectorAll('[data-label]')) element.setAttribute('aria-label', t(element.dataset.label));
    for (const element of document.querySelectorAll('[data-hint]')) element.placeholder = t(element.dataset.hint);
    for (const element of document.querySelectorAll('[data-title]')) element.title = t(element.dataset.title);
    for (const button of document.querySelectorAll('[data-switch-language]')) {
      button.textContent = language === 'ko' ? 'English' : '한국어';
      button.lang = language === 'ko' ? 'en' : 'ko';
    }
  };
  for (const button of document.querySelectorAll('[data-switch-language]')) {
    button.addEventListener('click', () => {
      language = language === 'ko' ? 'en' : 'ko';
      remember('language', language);
      fill();
      changed();
    });
  }
  fill();
  return t;
}

/** A moment as this language writes it: day and minute in the browser's own time zone. */
export const moment = (text) =>
  new Date(text).toLocaleString(language === 'ko' ? 'ko-KR' : 'en-GB', { dateStyle: 'short', timeStyle: 'short' });
