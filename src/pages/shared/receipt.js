// The receipt of this browser: what it heard about draws before anybody could know their winners.
// The verify page compares a proof with it. What was heard first counts, since a later value may
// depend on the winners.

import * as storage from "./storage.js";

const DRAWS_MAX = 200;
const EMPTY = { anchor: null, heads: {}, heard: {}, codes: {}, paths: [] };

const keyOf = (event) => `receipt.${event}`;

/**
 * The receipt for a session, or null: { session, anchor, heads, heard, codes, paths }. `heard`: when
 * each head came, in milliseconds since 1970 by this browser's clock.
 */
export function storedReceipt(event, session) {
  const stored = storage.get(keyOf(event));
  return stored?.session === session ? { ...EMPTY, ...stored } : null;
}

/** Keeps the session's anchor. */
export const keepAnchor = (event, session, anchor) => change(event, session, (kept) => ({ anchor: kept.anchor ?? anchor }), anchor);

/** Keeps the head of a draw's lock, and when it came. */
export const keepHead = (event, session, { draw_id: id, head }) =>
  change(event, session, ({ heads, heard }) => ({ heads: latest({ [id]: head, ...heads }), heard: latest({ [id]: Date.now(), ...heard }) }), id && head);

/** Keeps the confirmation code that this browser computed for a draw. */
export const keepCode = (event, session, id, code) => change(event, session, ({ codes }) => ({ codes: latest({ [id]: code, ...codes }) }), id && code);

/** Keeps the path of this phone's registration in the lock of a draw. */
export const keepPath = (event, session, { draw_id, path }) =>
  change(event, session, ({ paths }) => ({ paths: [...paths.filter((kept) => kept.draw_id !== draw_id), { draw_id, path }].slice(-20) }), path);

function change(event, session, update, isGiven) {
  if (!isGiven || !session) return;
  const kept = storedReceipt(event, session) ?? { ...EMPTY, session };
  storage.set(keyOf(event), { ...kept, ...update(kept) });
}

const latest = (byDraw) => Object.fromEntries(Object.entries(byDraw).slice(-DRAWS_MAX));
