// Slot machine animation: one number, a reel for each digit, stopped from left to right.
//
// The compositor alone spins the reels, with one transform each; nothing is measured or laid out
// while they turn. A reel shows only digits that some number that can win has at that place, and no
// reel knows the winner before it stops.

import { delay, digits, make } from "../shared/dom.js";
import { placesOf } from "./pool.js";

/** Height of a digit on its strip, in em, as the style sheet sets it. */
const ROW_EM = 1.3;
const ROW_MS = 62;
/** Rows of a strip: enough for the longest way to a stop. */
const ROWS_MIN = 44;
const FIRST_STOP_MS = 300;
const STOP_INTERVAL_MS = 520;
/**
 * Slowing down: its time, and the least rows that pass meanwhile. The last reel takes longest, for
 * suspense.
 */
const SLOWDOWN = { ms: 2_200, rows: 9 };
const LAST_SLOWDOWN = { ms: 3_300, rows: 16 };
/**
 * Ease-out with an initial speed of about three times its mean, so that a reel slows down from its
 * own speed.
 */
const SLOWDOWN_EASING = 'cubic-bezier(0.25, 0.75, 0.35, 1)';

const ALL_DIGITS = [...'0123456789'];

export class SlotAnimation {
  constructor({ area, pool, isReducedMotion, onLand }) {
    Object.assign(this, { isReducedMotion, onLand });
    this.places = placesOf(pool.highest);
    this.reels = Array.from({ length: this.places }, (_, place) => new Reel(pool.digitsAt(this.places - 1 - place)));
    this.machine = make('div', { className: 'slot' }, this.reels.map((reel) => reel.element));
    this.machine.style.setProperty('--places', this.places);
    this.cabinet = make('div', { className: 'cabinet' }, this.machine);
    area.append(this.cabinet);
    this.isOver = false;
  }

  /** Milliseconds that the reels take to stop. */
  static durationMs({ pool }) {
    return FIRST_STOP_MS + (placesOf(pool.highest) - 1) * STOP_INTERVAL_MS + LAST_SLOWDOWN.ms;
  }

  run() {
    if (this.isReducedMotion()) this.machine.dataset.still = '';
    else for (const reel of this.reels) reel.spin();
  }

  /** Settles on the winners, in `pace` times the usual time. */
  async settle(winners, pace) {
    const shown = this.digitsOf(winners[0]);
    const stops = this.reels.map(async (reel, place) => {
      const { ms, rows } = place === this.places - 1 ? LAST_SLOWDOWN : SLOWDOWN;
      await reel.stopAt(shown[place], pace * (FIRST_STOP_MS + place * STOP_INTERVAL_MS), { ms: pace * ms, rows });
      if (!this.isOver) this.onLand(place, reel.element);
    });
    await Promise.all(stops);
    if (!this.isOver) this.show(winners);
  }

  show([winner]) {
    this.isOver = true;
    this.digitsOf(winner).forEach((digit, place) => this.reels[place].set(digit));
    this.machine.dataset.winner = winner;
    this.machine.setAttribute('role', 'img');
    this.machine.setAttribute('aria-label', digits(winner));
    this.cabinet.dataset.settled = '';
  }

  stop() {
    this.isOver = true;
    for (const reel of this.reels) reel.halt();
  }

  /**
   * The digits of a winner, one per reel. A page that is not told who can win may have too few
   * reels for it: it gets as many as it needs.
   */
  digitsOf(number) {
    const shown = digits(number).padStart(this.places, '0');
    while (this.places < shown.length) {
      const reel = new Reel(ALL_DIGITS);
      this.reels.unshift(reel);
      this.machine.prepend(reel.element);
      this.places += 1;
      if (!this.isOver && !this.isReducedMotion()) reel.spin();
    }
    this.machine.style.setProperty('--places', this.places);
    return [...shown];
  }
}

class Reel {
  constructor(cycle) {
    this.cycle = cycle;
    this.strip = make('div', { className: 'strip' });
    this.element = make('div', { className: 'reel', 'aria-hidden': 'true' }, this.strip);
    this.motion = null;
  }

  spin() {
    const { cycle } = this;
    if (cycle.length === 1) return this.set(cycle[0]);
    const rows = Math.max(ROWS_MIN, cycle.length * 2);
    this.strip.textContent = Array.from({ length: rows }, (_, row) => cycle[row % cycle.length]).join('\n');
    const timing = { duration: cycle.length * ROW_MS, iterations: Infinity, iterationStart: Math.random() };
    this.motion = this.strip.animate([atRow(0), atRow(cycle.length)], timing);
  }

  /** Waits, then slows down to a digit in `ms`, over at least `rows`. */
  async stopAt(digit, waitMs, { ms, rows }) {
    if (!this.motion) return;
    await delay(waitMs);
    if (!this.motion) return;
    if (!this.cycle.includes(digit)) return this.set(digit);
    const { length } = this.cycle;
    const from = (this.motion.effect.getComputedTiming().progress ?? 0) * length;
    const first = Math.ceil(from) + rows;
    const target = first + (((this.cycle.indexOf(digit) - first) % length) + length) % length;
    const slowing = this.strip.animate([atRow(from), atRow(target)], { duration: ms, easing: SLOWDOWN_EASING, fill: 'forwards' });
    this.motion.cancel();
    this.motion = slowing;
    await slowing.finished.catch(() => {});
  }

  set(digit) {
    this.halt();
    this.strip.textContent = digit;
  }

  halt() {
    this.motion?.cancel();
    this.motion = null;
  }
}

const atRow = (row) => ({ transform: `translateY(${-row * ROW_EM}em)` });
