// Recomputes draws from their proof. It shares no code with the server, and must agree with
// scripts/verify-proof: change one, change the other. `locked.js` checks draws of version 2.

import { Mismatch, ascii, concat, ensure, fromHex, isNumber, toHex } from "./bytes.js";
import { LockChecker } from "./locked.js";
import { pick, poolOf, runsOf, weightsOf } from "./pick.js";
import { sha256 } from "./sha256.js";

const COMMITMENT_LABEL = ascii('luckydraw commitment');
const STATUSES = ['announced', 'cancelled'];
const NUMBERS_MAX = 200_000_000;
const DRAWS_MAX = 10_000;

/**
 * Checks a proof. Gives { checked, rest, locked }: for each draw { draw, mismatch: null | Mismatch,
 * notes: codes with values }, the mismatch of the whole or null, and the locked draws that hold by
 * id. A draw has what the file says at an earlier draw, too.
 */
export async function checkAll(proof) {
  const { draws } = proof;
  const lockChecker = new LockChecker(proof);
  const state = { voided: new Map(), entropies: new Map(), numbers: 0, lastId: 0, hasLocks: false };
  const checked = [];
  for (let draw of draws.slice(0, DRAWS_MAX)) {
    let mismatch = null;
    let notes = [];
    try {
      state.numbers += Number(draw.registered_through);
      ensure(state.numbers <= NUMBERS_MAX, 'badRanges');
      checkOrder(draw, state);
      if (state.hasLocks) ({ draw, notes } = await lockChecker.check(draw));
      else await checkFirstVersion(draw, state);
      checkLater(draw, state);
    } catch (error) {
      mismatch = asMismatch(error);
    }
    checked.push({ draw, mismatch, notes });
  }
  let rest = draws.length > DRAWS_MAX ? new Mismatch('badRanges') : null;
  try {
    if (checked.every((each) => !each.mismatch)) lockChecker.checkRest();
  } catch (error) {
    rest = asMismatch(error);
  }
  return { checked, rest, locked: lockChecker.draws };
}

/** Checks that ids rise, that the draw has ended, and that no draw is without a lock after one that has one. */
function checkOrder({ draw_id: id, version, status }, state) {
  ensure(isNumber(id) && id > state.lastId, 'twice', id);
  state.lastId = id;
  ensure(version === undefined || version === 2, 'badVersion');
  ensure(STATUSES.includes(status), 'badStatus');
  ensure(version === 2 || !state.hasLocks, 'unlocked');
  state.hasLocks = version === 2;
}

const asMismatch = (error) => (error instanceof Mismatch ? error : new Mismatch('malformed', error.message));

/**
 * A number's part in a draw: 'won', 'cancelled', 'voided', 'in', 'out' or 'later' (registered after
 * it).
 */
export function partOf(draw, number) {
  if (draw.voided.some((void_) => void_.draw_number === number)) return 'voided';
  if (draw.picks.includes(number)) return draw.status === 'cancelled' || draw.reset_at ? 'cancelled' : 'won';
  if (number > draw.registered_through) return 'later';
  const isOut = draw.excluded.some((run) => (Array.isArray(run) ? run[0] <= number && number <= run[1] : run === number));
  return isOut ? 'out' : 'in';
}

/** Checks what came after the announcement. */
function checkLater(draw, { voided }) {
  for (const { draw_number: number } of draw.voided) ensure(draw.picks.includes(number), 'badVoid', number);
  if (draw.redraw_of !== null) {
    const { draw_id: seat, draw_number: number } = draw.redraw_of;
    ensure(voided.get(seat)?.includes(number), 'badRedraw', number, seat);
  }
  voided.set(draw.draw_id, draw.voided.map((void_) => void_.draw_number));
}

async function checkFirstVersion(draw, { entropies }) {
  const entropy = fromHex(draw.entropy, 32, 'entropy');
  const commitment = toHex(await sha256(concat(COMMITMENT_LABEL, entropy)));
  ensure(commitment === draw.commitment, 'badCommitment');
  const { runs, numbers } = poolOf(runsOf(draw.excluded, draw.registered_through), draw.registered_through);
  ensure(draw.pool_size === numbers.length, 'badPoolSize', draw.pool_size, numbers.length);
  ensure(JSON.stringify(runs) === JSON.stringify(draw.pool), 'badRanges');
  const { winner_count: count } = draw;
  ensure(isNumber(count) && count <= numbers.length, 'badCount', count, numbers.length);
  const expected = await pick(numbers, weightsOf(draw.weights, numbers), count, entropy);
  const isEqual = draw.picks.length === expected.length && expected.every((number, place) => number === draw.picks[place]);
  ensure(isEqual, 'otherPicks', draw.picks.join(', '), expected.join(', '));
  const first = entropies.get(draw.entropy) ?? draw.draw_id;
  ensure(first === draw.draw_id, 'sameEntropy', first);
  entropies.set(draw.entropy, draw.draw_id);
}
