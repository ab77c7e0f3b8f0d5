// The receipt of this browser: what it heard about draws before anybody could know their winners.
// The verify page compares a proof with it. What was heard first counts, since a later value may
// depend on the winners.

import * as storage from "./storage.js";

const DRAWS_MAX = 200;
const EMPTY = { anchor: null, heads: {}, heard: {}, live: {}, codes: {}, paths: [] };

const keyOf = (event) => `receipt.${event}`;

/**
 * The receipt for a session, or null: { session, anchor, outside, heads, heard, live, codes, paths }.
 * `outside`: the rule for outside values that was heard first. `heads`: null for a draw that began
 * without a lock although the session has an anchor. `heard`: when each head came, in milliseconds
 * since 1970 by this browser's clock; `live`: the same, of heads that came as their draws started.
 */
export function storedReceipt(event, session) {
  const stored = storage.get(keyOf(event));
  return stored?.session === session ? { ...EMPTY, ...stored } : null;
}

/** Keeps the session's anchor, and the rule for outside values. */
export const keepAnchor = (event, session, { anchor, outside }) =>
  change(event, session, (kept) => ({ anchor: kept.anchor ?? anchor, outside: kept.outside ?? outside }), anchor);

/**
 * Keeps the head of a draw's lock, and when it came. `liveAt`: the time, if the draw started just
 * now; else null.
 */
export const keepHead = (event, session, { draw_id: id, head = null }, liveAt) =>
  change(
    event,
    session,
    ({ anchor, heads, heard, live }) => {
      if (id in heads || (head === null && anchor === null)) return {};
      const times = head === null ? {} : { heard: latest({ [id]: Date.now(), ...heard }), live: liveAt ? latest({ [id]: liveAt, ...live }) : live };
      return { heads: latest({ [id]: head, ...heads }), ...times };
    },
    id,
  );

/** Keeps the confirmation code that this browser computed for a draw. */
export const keepCode = (event, session, id, code) => change(event, session, ({ codes }) => ({ codes: latest({ [id]: code, ...codes }) }), id && code);

/** Keeps the path of this phone's registration in the lock of a draw. */
export const keepPath = (event, session, { draw_id, path }) =>
  change(event, session, ({ paths }) => ({ paths: [...paths.filter((kept) => kept.draw_id !== draw_id), { draw_id, path }].slice(-20) }), path);

function change(event, session, update, isGiven) {
  if (!isGiven || !session) return;
  const kept = storedReceipt(event, session) ?? { ...EMPTY, session };
  const changes = update(kept);
  if (Object.keys(changes).length > 0) storage.set(keyOf(event), { ...kept, ...changes });
}

const latest = (byDraw) => Object.fromEntries(Object.entries(byDraw).slice(-DRAWS_MAX));
