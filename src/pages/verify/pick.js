// From a draw's entropy to its winners, as src/draw/pick.rs specifies it, and the pool they come
// from.

import { concat, ensure, isNumber } from "./bytes.js";
import { sha256 } from "./sha256.js";

const NUMBER_MAX = 2 ** 21;

/** Rising runs that do not touch, up to `through`, from a list with a number or a pair per run. */
export function runsOf(list, through) {
  ensure(isNumber(through) && through <= NUMBER_MAX, 'badThrough', through, NUMBER_MAX);
  const runs = list.map((run) => (Array.isArray(run) ? run : [run, run]));
  let before = -1;
  for (const [first, last] of runs) {
    ensure(isNumber(first) && isNumber(last) && first <= last && last <= through && first > before + 1, 'badRanges');
    before = last;
  }
  return runs;
}

/**
 * The numbers that are in one of two lists of runs and not in both, which is also what turns one
 * list into the other.
 */
export function difference(one, other) {
  const bounds = [...one, ...other].flatMap(([first, last]) => [first, last + 1]).sort((a, b) => a - b);
  const kept = [];
  for (const bound of bounds) {
    if (kept.at(-1) === bound) kept.pop();
    else kept.push(bound);
  }
  return Array.from({ length: kept.length / 2 }, (_, i) => [kept[2 * i], kept[2 * i + 1] - 1]);
}

/** The numbers up to `through` that are not excluded: { runs, numbers }. */
export function poolOf(excluded, through) {
  ensure(excluded.length === 0 || excluded.at(-1)[1] <= through, 'badRanges');
  const runs = difference(excluded, [[1, through]]);
  const numbers = [];
  for (const [first, last] of runs) for (let number = first; number <= last; number += 1) numbers.push(number);
  return { runs, numbers };
}

/** The weights of a draw by number, after they are found to be of its pool. */
export function weightsOf(list, numbers) {
  const members = list.length > 0 ? new Set(numbers) : null;
  let last = 0;
  for (const [number, weight] of list) {
    const isWeight = Number.isInteger(weight) && weight >= 2 && weight < 2 ** 16;
    ensure(number > last && members.has(number) && isWeight, 'badWeights');
    last = number;
  }
  return new Map(list);
}

/**
 * Picks the winners in order. Changes `numbers`, which is ascending; `weights` holds those other
 * than 1.
 */
export async function pick(numbers, weights, count, entropy) {
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
