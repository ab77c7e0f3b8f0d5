// The hashing behind what a page checks of the proof. A phone loads it once a draw has started.

import { ascii, fromHex, splitFields, toHex } from "../verify/bytes.js";
import { confirmationCode, rootFrom } from "../verify/locked.js";
import { portableSha256 } from "../verify/sha256.js";

/** Places of a lock's fields, by src/draw/PROOF.md. */
const DRAW_ID = 6;
const REGISTERED_THROUGH = 12;
const ROSTER_ROOT = 13;

/** The key of a registration, from the id that this browser made for it. */
export const keyOf = (requestId) => toHex(portableSha256(ascii(requestId)));

/**
 * What the answer to a request for a path shows of a registration with this key: 'locked' when the
 * path leads to the root in the lock whose head this phone heard, 'listed' when it leads to a root
 * that the answer names and no lock holds yet, else 'out'.
 */
export function placeOf(number, key, head, { draw_id: id, path, registered_through: count, roster_root: root, lock }) {
  const steps = path.map((step) => fromHex(step, 32, 'path'));
  const reached = rootFrom(number, fromHex(key, 32, 'receipt'), count, steps);
  if (reached === null || toHex(reached) !== root) return 'out';
  if (lock === undefined) return 'listed';
  const bytes = fromHex(lock, lock.length / 2, 'lock');
  const fields = splitFields(bytes).map(toHex);
  const isSame = fields[ROSTER_ROOT] === root && hexOf(fields[REGISTERED_THROUGH]) === count && hexOf(fields[DRAW_ID]) === id;
  return isSame && toHex(portableSha256(bytes)) === head ? 'locked' : 'out';
}

const hexOf = (text) => Number.parseInt(text, 16);

/** The confirmation code of a draw, from the head of its lock and an announcement. */
export function codeOf(head, { seed, outside_value: value, outside_round: round }) {
  const words = round === undefined && value;
  return confirmationCode(fromHex(head, 32, 'head'), words ? ascii(words) : fromHex(value ?? seed, 32, 'seed'));
}
