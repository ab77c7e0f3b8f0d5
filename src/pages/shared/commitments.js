// Commitments this browser received: a draw's commitment arrives when the draw starts, and the
// server knows the winners by then. The proof page compares the proof against them.

import * as storage from "./storage.js";

const COMMITMENTS_MAX = 100;

const keyOf = (event) => `commitments.${event}`;

/** Stores a draw's commitment. The first one counts: a later one may depend on the winners. */
export function storeCommitment(event, session, { draw_id: id, commitment }) {
  if (!commitment || !id) return;
  const stored = storage.get(keyOf(event));
  const commitments = { [id]: commitment, ...(stored?.session === session ? stored.heard : {}) };
  const latest = Object.fromEntries(Object.entries(commitments).slice(-COMMITMENTS_MAX));
  storage.set(keyOf(event), { session, heard: latest });
}

/**
 * The commitment this browser received for a draw; null without one, or when it is of another
 * session.
 */
export function storedCommitment(event, session, id) {
  const stored = storage.get(keyOf(event));
  return stored?.session === session ? (stored.heard[id] ?? null) : null;
}
