// Recomputes draws from their proof. It follows the algorithm documented in src/draw/pick.rs,
// shares no code with the server, and must agree with scripts/verify-proof: change one, change the
// other.

import { sha256 } from "./sha256.js";

const NUMBERS_MAX = 1_000_000;
const COMMITMENT_LABEL = new TextEncoder().encode('luckydraw commitment');

/**
 * A contradiction within a draw's proof. `code`: a key of the page's messages; `values`: their
 * values.
 */
export class Mismatch extends Error {
  constructor(code, ...values) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

/** Checks all draws. Gives for each { draw, mismatch: null | Mismatch }. */
export async function checkAll(draws) {
  const byId = new Map(draws.map((draw) => [draw.draw_id, draw]));
  const seen = new Map();
  const checked = [];
  for (const draw of draws) {
    let mismatch = null;
    try {
      ensure(byId.get(draw.draw_id) === draw, 'twice', draw.draw_id);
      await check(draw, byId);
      const entropy = draw.entropy.toLowerCase();
      if (!seen.has(entropy)) seen.set(entropy, draw.draw_id);
      ensure(seen.get(entropy) === draw.draw_id, 'sameEntropy', seen.get(entropy));
    } catch (error) {
      mismatch = error instanceof Mismatch ? error : new Mismatch('malformed', error.message);
    }
    checked.push({ draw, mismatch });
  }
  return checked;
}

/**
 * A number's part in a draw: 'won', 'cancelled', 'voided', 'in', 'out' or 'later' (registered after
 * it).
 */
export function partOf(draw, number) {
  if (draw.voided.some((void_) => void_.draw_number === number)) return 'voided';
  if (draw.picks.includes(number)) return draw.status === 'cancelled' || draw.reset_at ? 'cancelled' : 'won';
  if (number > draw.registered_through) return 'later';
  return draw.pool.some(([first, last]) => first <= number && number <= last) ? 'in' : 'out';
}

async function check(draw, byId) {
  const entropy = fromHex(draw.entropy);
  ensure(entropy?.length === 32, 'badEntropy');
  const commitment = toHex(await sha256(concat(COMMITMENT_LABEL, entropy)));
  ensure(commitment === draw.commitment.toLowerCase(), 'badCommitment');
  const numbers = checkPool(draw);
  const weights = checkWeights(draw, numbers);
  const count = draw.winner_count;
  ensure(isNumber(count) && count <= numbers.length, 'badCount', count, numbers.length);
  const expected = await pick(numbers, weights, count, entropy);
  const isEqual = draw.picks.length === expected.length && expected.every((number, place) => number === draw.picks[place]);
  ensure(isEqual, 'otherPicks', draw.picks.join(', '), expected.join(', '));
  for (const { draw_number: number } of draw.voided) ensure(draw.picks.includes(number), 'badVoid', number);
  if (draw.redraw_of !== null) {
    const { draw_id: seat, draw_number: number } = draw.redraw_of;
    ensure(byId.get(seat)?.voided.some((void_) => void_.draw_number === number), 'badRedraw', number, seat);
  }
}

function checkPool(draw) {
  const pool = checkRanges(draw.pool);
  const excluded = checkRanges(draw.excluded);
  const numbers = [];
  for (const [first, last] of pool) for (let number = first; number <= last; number += 1) numbers.push(number);
  ensure(numbers.length === draw.pool_size, 'badPoolSize', draw.pool_size, numbers.length);
  let next = 1;
  for (const [first, last] of [...pool, ...excluded].sort((a, b) => a[0] - b[0])) {
    ensure(first === next, 'gap', next);
    next = last + 1;
  }
  ensure(next === draw.registered_through + 1, 'badThrough', draw.registered_through, next - 1);
  return numbers;
}

/** Checks that the ranges are inclusive, ascending and do not touch. */
function checkRanges(list) {
  let last = -1;
  let size = 0;
  for (const pair of list) {
    ensure(pair.length === 2 && pair.every(isNumber) && last + 1 < pair[0] && pair[0] <= pair[1], 'badRanges');
    last = pair[1];
    size += pair[1] - pair[0] + 1;
    ensure(size <= NUMBERS_MAX, 'badRanges');
  }
  return list;
}

function checkWeights(draw, numbers) {
  const weights = new Map(draw.weights);
  const members = weights.size > 0 ? new Set(numbers) : null;
  ensure(weights.size === draw.weights.length, 'badWeights');
  for (const [number, weight] of weights) {
    ensure(members.has(number) && Number.isInteger(weight) && weight >= 2 && weight < 2 ** 16, 'badWeights');
  }
  return weights;
}

/**
 * Picks the winners in order. Changes `numbers`, which is ascending; `weights` holds those other
 * than 1.
 */
async function pick(numbers, weights, count, entropy) {
  const words = new RandomWords(entropy);
  if (weights.size === 0) {
    for (let i = 0; i < count; i += 1) {
      const j = i + (await words.uniform(numbers.length - i));
      [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
    }
    return numbers.slice(0, count);
  }
  const won = [];
  while (won.length < count) {
    const sum = numbers.reduce((total, number) => total + (weights.get(number) ?? 1), 0);
    let left = await words.uniform(sum);
    const index = numbers.findIndex((number) => (left -= weights.get(number) ?? 1) < 0);
    won.push(...numbers.splice(index, 1));
  }
  return won;
}

/**
 * Random words: SHA-256(entropy ‖ 0), SHA-256(entropy ‖ 1), …, each four big-endian words of 64
 * bits.
 */
class RandomWords {
  constructor(entropy) {
    this.entropy = entropy;
    this.block = 0n;
    this.ready = [];
  }

  async next() {
    if (this.ready.length === 0) {
      const counter = new DataView(new ArrayBuffer(8));
      counter.setBigUint64(0, this.block);
      this.block += 1n;
      const hash = new DataView((await sha256(concat(this.entropy, new Uint8Array(counter.buffer)))).buffer);
      this.ready = [0, 8, 16, 24].map((at) => hash.getBigUint64(at));
    }
    return this.ready.shift();
  }

  /** A uniform number below `limit`; rejects the words that would make small results likelier. */
  async uniform(limit) {
    const size = BigInt(limit);
    const accepted = (2n ** 64n / size) * size;
    for (;;) {
      const word = await this.next();
      if (word < accepted) return Number(word % size);
    }
  }
}

const isNumber = (value) => Number.isInteger(value) && value >= 1 && value < 2 ** 32;

function ensure(isTrue, code, ...values) {
  if (!isTrue) throw new Mismatch(code, ...values);
}

function concat(first, second) {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function fromHex(text) {
  if (!/^([0-9a-f]{2})*$/i.test(text)) return null;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
