// Helpers to build a page. Text enters by textContent only: nothing here accepts markup.

import { call } from "./api.js";

/** The element with this id; it must be in the page's HTML. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element with properties and children; strings become text. What is not a property of the
 * element, such as `data-…` and `aria-…`, is set as an attribute.
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

/** Sets the text of the element with this id, and touches the page only when it differs. */
export function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== String(text)) element.textContent = text;
}

/** Shows or hides the element with this id. */
export function setShown(id, isShown) {
  byId(id).hidden = !isShown;
}

/** A number as text, with at least three digits. */
export const digits = (number) => String(number).padStart(3, '0');

/** Resolves after a time. */
export const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** True for the path of an image on this server. A page never fetches one from another host. */
export const isLocalImage = (path) => typeof path === 'string' && /^\/(?!\/)/.test(path);

/**
 * Finds the event of this page: /j/{event_id}, or ?event=, or the server's current one, which is
 * then written into the address. Null while there is none.
 */
export async function findEvent() {
  const joined = location.pathname.match(/^\/j\/([A-Za-z0-9_-]{1,64})$/);
  const named = joined ? joined[1] : new URLSearchParams(location.search).get('event');
  if (named) return named;
  const { event_id: current } = await call('GET', '/join').catch(() => ({}));
  if (!current) return null;
  const query = new URLSearchParams(location.search);
  query.set('event', current);
  history.replaceState(null, '', `${location.pathname}?${query}${location.hash}`);
  return current;
}

/**
 * Takes the token of a signed link out of the address, behind its #, so that no screen shows it.
 */
export function takeLinkToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token) history.replaceState(null, '', location.pathname + location.search);
  return token;
}
