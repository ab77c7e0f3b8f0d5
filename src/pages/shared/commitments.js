// The promises a phone heard: the commitment of each draw, told before anybody could know its winners. The proof is held against them afterwards.

import { recall, remember } from "./storage.js";

const HEARD_MAX = 100;

const nameOf = (event) => `commitments.${event}`;

/** Keeps a draw's commitment. The first word counts: whatever comes later may know the winners. */
export function hearPromise(event, session, { draw_id: id, commitment }) {
  if (!commitment || !id) return;
  const kept = recall(nameOf(event));
  const heard = { [id]: commitment, ...(kept?.session === session ? kept.heard : {}) };
  remember(nameOf(event), { session, heard: Object.fromEntries(Object.entries(heard).slice(-HEARD_MAX)) });
}

/** What this browser heard of that draw, or null. Of another session, an event made anew among them, it knows nothing. */
export function promiseOf(event, session, id) {
  const kept = recall(nameOf(event));
  return kept?.session === session ? (kept.heard[id] ?? null) : null;
}
