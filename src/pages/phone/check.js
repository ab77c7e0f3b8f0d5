// The hashing behind what a phone checks of the proof. It is loaded once a draw has started.

import { ascii, fromHex, toHex } from "../verify/bytes.js";
import { confirmationCode, rootFrom } from "../verify/locked.js";

/** Returns whether a registration's path leads to the root that was locked. `key`: its own key. */
export function isLocked(number, key, { path, registered_through: count, roster_root: locked }) {
  const steps = path.map((step) => fromHex(step, 32, 'path'));
  const root = rootFrom(number, fromHex(key, 32, 'receipt'), count, steps);
  return root !== null && toHex(root) === locked;
}

/** The confirmation code of a draw, from the head of its lock and an announcement. */
export function codeOf(head, { seed, outside_value: value, outside_round: round }) {
  const words = round === undefined && value;
  return confirmationCode(fromHex(head, 32, 'head'), words ? ascii(words) : fromHex(value ?? seed, 32, 'seed'));
}
