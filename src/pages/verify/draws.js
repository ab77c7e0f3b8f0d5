// Recomputes draws from their proof. It follows the algorithm that src/draw/pick.rs writes down, shares no code with the server, and says the same as
// scripts/verify-proof: change one, change the other.

import { sha256 } from "./sha256.js";

const NUMBERS_MAX = 1_000_000;
const COMMITMENT_LABEL = new TextEncoder().encode('luckydraw commitment');

/** What a draw says does not agree with itself. `code`: a key of the page's words; `values`: theirs. */
export class Mismatch extends Error {
  constructor(code, ...values) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

/** Checks all draws. Gives for each { draw, mismatch: null | Mismatch, members: the pool as ranges }. */
export async function checkAll(draws) {
  const byId = new Map(draws.map((draw) => [draw.draw_id, draw]));
  const seen = new Map();
  const checked = [];
  for (const draw of draws) {
    let mismatch = null;
    try {
      demand(byId.get(draw.draw_id) === draw, 'twice', draw.draw_id);
      await check(draw, byId);
      const entropy = draw.entropy.toLowerCase();
      if (!seen.has(entropy)) seen.set(entropy, draw.draw_id);
      demand(seen.get(entropy) === draw.draw_id, 'sameEntropy', seen.get(entropy));
    } catch (error) {
      mismatch = error instanceof Mismatch ? error : new Mismatch('malformed', error.message);
    }
    checked.push({ draw, mismatch });
  }
  return checked;
}

/** What a draw meant for a number: 'won', 'voided', 'in', 'out' or 'later' (it came after). */
export function partOf(draw, number) {
  if (draw.voided.some((void_) => void_.draw_number === number)) return 'voided';
  if (draw.picks.includes(number)) return draw.status === 'cancelled' ? 'cancelled' : 'won';
  if (number > draw.registered_through) return 'later';
  return draw.pool.some(([first, last]) => first <= number && number <= last) ? 'in' : 'out';
}

async function check(draw, byId) {
  const entropy = bytesOf(draw.entropy);
  demand(entropy?.length === 32, 'badEntropy');
  const commitment = hex(await sha256(joined(COMMITMENT_LABEL, entropy)));
  demand(commitment === draw.commitment.toLowerCase(), 'badCommitment');
  const numbers = checkPool(draw);
  const weights = checkWeights(draw, numbers);
  const count = draw.winner_count;
  demand(isNumber(count) && count <= numbers.length, 'badCount', count, numbers.length);
  const expected = await pick(numbers, weights, count, entropy);
  const isSame = draw.picks.length === expected.length && expected.every((number, place) => number === draw.picks[place]);
  demand(isSame, 'otherPicks', draw.picks.join(', '), expected.join(', '));
  for (const { draw_number: number } of draw.voided) demand(draw.picks.includes(number), 'badVoid', number);
  if (draw.redraw_of !== null) {
    const { draw_id: seat, draw_number: number } = draw.redraw_of;
    demand(byId.get(seat)?.voided.some((void_) => void_.draw_number === number), 'badRedraw', number, seat);
  }
}

function checkPool(draw) {
  const pool = ranges(draw.pool);
  const excluded = ranges(draw.excluded);
  const numbers = [];
  for (const [first, last] of pool) for (let number = first; number <= last; number += 1) numbers.push(number);
  demand(numbers.length === draw.pool_size, 'badPoolSize', draw.pool_size, numbers.length);
  let following = 1;
  for (const [first, last] of [...pool, ...excluded].sort((a, b) => a[0] - b[0])) {
    demand(first === following, 'gap', following);
    following = last + 1;
  }
  demand(following === draw.registered_through + 1, 'badThrough', draw.registered_through, following - 1);
  return numbers;
}

/** Inclusive ranges that rise and do not touch. */
function ranges(list) {
  let last = -1;
  let size = 0;
  for (const pair of list) {
    demand(pair.length === 2 && pair.every(isNumber) && last + 1 < pair[0] && pair[0] <= pair[1], 'badRanges');
    last = pair[1];
    size += pair[1] - pair[0] + 1;
    demand(size <= NUMBERS_MAX, 'badRanges');
  }
  return list;
}

function checkWeights(draw, numbers) {
  const weights = new Map(draw.weights);
  const members = weights.size > 0 ? new Set(numbers) : null;
  demand(weights.size === draw.weights.length, 'badWeights');
  for (const [number, weight] of weights) {
    demand(members.has(number) && Number.isInteger(weight) && weight >= 2 && weight < 2 ** 16, 'badWeights');
  }
  return weights;
}

/** The picks, in order. `numbers` rises and is changed; `weights` holds those other than 1. */
async function pick(numbers, weights, count, entropy) {
  const words = new Words(entropy);
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

/** The words of SHA-256(entropy ‖ 0), SHA-256(entropy ‖ 1), …: four of 64 bits each, big-endian. */
class Words {
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
      const hash = new DataView((await sha256(joined(this.entropy, new Uint8Array(counter.buffer)))).buffer);
      this.ready = [0, 8, 16, 24].map((at) => hash.getBigUint64(at));
    }
    return this.ready.shift();
  }

  /** A number below `m`; the words it refuses are what would make small results likelier. */
  async uniform(m) {
    const size = BigInt(m);
    const limit = (2n ** 64n / size) * size;
    for (;;) {
      const word = await this.next();
      if (word < limit) return Number(word % size);
    }
  }
}

const isNumber = (value) => Number.isInteger(value) && value >= 1 && value < 2 ** 32;

function demand(holds, code, ...values) {
  if (!holds) throw new Mismatch(code, ...values);
}

function joined(first, second) {
  const bytes = new Uint8Array(first.length + second.length);
  bytes.set(first);
  bytes.set(second, first.length);
  return bytes;
}

function bytesOf(text) {
  if (!/^([0-9a-f]{2})*$/i.test(text)) return null;
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
