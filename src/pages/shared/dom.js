// Small words for building a page. Text enters by textContent only: there is no way in here for markup.

import { call } from "./api.js";

/** The element of that id; it stands in the page's HTML. */
export const byId = (id) => document.getElementById(id);

/**
 * An element with its properties and children; strings become text. `dataset` and `aria-…` are set as attributes.
 * make('li', { className: 'prize', 'aria-label': name }, name)
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name in element && !name.startsWith('aria-')) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Puts text into the element of that id, and touches the page only when it differs. */
export function say(id, text) {
  const element = byId(id);
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Shows the element of that id, or hides it. */
export function show(id, isShown) {
  byId(id).hidden = !isShown;
}

/** The number as people say it: at least three digits. */
export const digits = (number) => String(number).padStart(3, '0');

/** The event this page is about: /j/{event_id}, or ?event=, or the one the server means; null while there is none. The address then names it. */
export async function eventOfPage() {
  const joined = location.pathname.match(/^\/j\/([A-Za-z0-9_-]{1,64})$/);
  const named = joined ? joined[1] : new URLSearchParams(location.search).get('event');
  if (named) return named;
  const { event_id: meant } = await call('GET', '/join').catch(() => ({}));
  if (!meant) return null;
  const query = new URLSearchParams(location.search);
  query.set('event', meant);
  history.replaceState(null, '', `${location.pathname}?${query}${location.hash}`);
  return meant;
}

/** A secret that came behind the # of a link, taken out of the address at once so that no screen shows it. */
export function secretOfLink(name) {
  const secret = new URLSearchParams(location.hash.slice(1)).get(name);
  if (secret) history.replaceState(null, '', location.pathname + location.search);
  return secret;
}
