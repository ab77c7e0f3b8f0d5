// The slot machine: one number, a reel for each digit, stopped from left to right.
//
// Reels spin by the compositor alone (one transform each); nothing is measured or laid out while they turn. A reel shows only digits that some
// number of the hall has at that place, so that no impossible number flies by, and none of it knows the winner.

import { digits, make } from "../shared/dom.js";

/** The height of a digit on its strip, in em, as the style sheet sets it. */
const ROW_EM = 1.3;
const ROW_MS = 62;
/** A strip is as long as the longest way to a stop. */
const ROWS_MIN = 44;
const FIRST_STOP_MS = 300;
const STOP_GAP_MS = 520;
/** How long a reel slows down, and the last one, which the hall holds its breath for. */
const SLOWING_MS = 2_200;
const LAST_SLOWING_MS = 3_300;
/** Ease-out whose first speed is about three times its mean: a reel slows down from the speed it spins with. */
const SLOWING = 'cubic-bezier(0.25, 0.75, 0.35, 1)';
/** The least rows that pass while a reel slows down. */
const WAY = 9;
const LAST_WAY = 16;

/** `landed(step)` is called as each reel stops. */
export function makeSlot({ floor, count, isCalm, landed }) {
  const machine = make('div', { className: 'slot' });
  const places = Math.max(3, String(count).length);
  machine.style.setProperty('--places', places);
  const reels = Array.from({ length: places }, (_, place) => makeReel(possible(count, place, places)));
  machine.append(...reels.map((reel) => reel.element));
  floor.append(make('div', { className: 'cabinet' }, machine));
  const cabinet = floor.lastElementChild;
  let isStopped = false;

  function show([winner]) {
    isStopped = true;
    [...digits(winner).padStart(places, '0')].forEach((digit, place) => reels[place].set(digit));
    machine.dataset.winner = winner;
    machine.setAttribute('role', 'img');
    machine.setAttribute('aria-label', digits(winner));
    cabinet.dataset.settled = '';
  }

  return {
    run() {
      if (isCalm()) machine.dataset.calm = '';
      for (const reel of reels) if (!isCalm()) reel.spin();
    },
    async settle(winners) {
      const shown = [...digits(winners[0]).padStart(places, '0')];
      const stops = reels.map((reel, place) => {
        const isLast = place === places - 1;
        const slowing = isLast ? { ms: LAST_SLOWING_MS, way: LAST_WAY } : { ms: SLOWING_MS, way: WAY };
        return reel.stop(shown[place], FIRST_STOP_MS + place * STOP_GAP_MS, slowing).then(() => {
          if (!isStopped) landed(place, reel.element);
        });
      });
      await Promise.all(stops);
      if (!isStopped) show(winners);
    },
    show,
    stop() {
      isStopped = true;
      for (const reel of reels) reel.halt();
    },
  };
}

/** How long the reels of a hall of `count` take to stop, in milliseconds. */
export const slotMs = (count) => FIRST_STOP_MS + (Math.max(3, String(count).length) - 1) * STOP_GAP_MS + LAST_SLOWING_MS;

/** The digits that numbers from 1 to `count` have at a place. */
function possible(count, place, places) {
  const lead = Math.floor(count / 10 ** (places - 1 - place));
  return Array.from({ length: Math.min(9, lead) + 1 }, (_, digit) => String(digit));
}

function makeReel(cycle) {
  const strip = make('div', { className: 'strip' });
  const element = make('div', { className: 'reel', 'aria-hidden': 'true' }, strip);
  const rows = Math.max(ROWS_MIN, cycle.length * 2);
  const place = (row) => ({ transform: `translateY(${-row * ROW_EM}em)` });
  let motion = null;

  /** The strip with the digits it spins by. */
  function fill() {
    strip.textContent = Array.from({ length: rows }, (_, row) => cycle[row % cycle.length]).join('\n');
  }

  function halt() {
    motion?.cancel();
    motion = null;
  }

  return {
    element,
    halt,
    spin() {
      if (cycle.length === 1) return this.set(cycle[0]);
      fill();
      const duration = cycle.length * ROW_MS;
      motion = strip.animate([place(0), place(cycle.length)], { duration, iterations: Infinity, iterationStart: Math.random() });
    },
    /** Slows down to a digit after `wait`, in `ms`, over at least `way` rows. */
    async stop(digit, wait, { ms, way }) {
      if (!motion) return;
      await pause(wait);
      if (!motion) return;
      const from = (motion.effect.getComputedTiming().progress ?? 0) * cycle.length;
      const first = Math.ceil(from) + way;
      const target = first + ((cycle.indexOf(digit) - first) % cycle.length + cycle.length) % cycle.length;
      const slowing = strip.animate([place(from), place(target)], {
        duration: ms,
        easing: SLOWING,
        fill: 'forwards',
      });
      motion.cancel();
      motion = slowing;
      await slowing.finished.catch(() => {});
    },
    set(digit) {
      halt();
      strip.textContent = digit;
    },
  };
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
