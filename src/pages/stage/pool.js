// The numbers that can win a draw, as inclusive ranges: an animation shows no other.

const DIGITS = 10;
const PLACES_MIN = 3;

/** Places that a number takes on the stage. */
export const placesOf = (number) => Math.max(PLACES_MIN, String(number).length);

export class Pool {
  /** `ranges`: rising, [[first, last]]; of a pool in many parts the server names some. */
  constructor(ranges) {
    this.ranges = ranges.length > 0 ? ranges : [[1, 1]];
    this.size = this.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
    this.highest = this.ranges.at(-1)[1];
  }

  /** Every number from 1 to `count`, for a page that is not told who can win. */
  static upTo(count) {
    return new Pool([[1, Math.max(1, count)]]);
  }

  /** The number at a place of the pool, from 0. */
  at(place) {
    let left = place;
    for (const [first, last] of this.ranges) {
      if (left <= last - first) return first + left;
      left -= last - first + 1;
    }
    return this.highest;
  }

  random() {
    return this.at(Math.floor(Math.random() * this.size));
  }

  /** Up to `wanted` of the numbers, in random order. */
  deal(wanted) {
    const numbers = this.ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
    const count = Math.min(wanted, numbers.length);
    for (let i = 0; i < count; i += 1) {
      const j = i + Math.floor(Math.random() * (numbers.length - i));
      [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
    }
    return numbers.slice(0, count);
  }

  /** The digits, as texts, that its numbers have at a place; place 0 is that of the ones. */
  digitsAt(place) {
    const unit = DIGITS ** place;
    const found = new Set();
    for (const [first, last] of this.ranges) {
      const from = Math.floor(first / unit);
      const until = Math.min(Math.floor(last / unit), from + DIGITS - 1);
      for (let digit = from; digit <= until; digit += 1) found.add(String(digit % DIGITS));
    }
    return [...found].sort();
  }
}
