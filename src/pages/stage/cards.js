// The cards: up to five, face down, turned over one by one.
//
// While the draw runs they float, and now and then one spins and shows any number of the hall. A winner's number is written on a card only
// as it is turned for good.

import { digits, make } from "../shared/dom.js";

const PEEK_GAP_MS = 430;
const PEEK_MS = 950;
const TURN_MS = 760;
const GAP_MS = 1_050;
const LAST_PAUSE_MS = 650;
const GATHER_MS = 700;

/** `landed(step)` is called as each card lies open. */
export function makeCards({ floor, count, seats, isCalm, landed }) {
  const cards = Array.from({ length: seats }, makeCard);
  const table = make('div', { className: 'cards' }, cards.map((card) => card.element));
  table.dataset.count = seats;
  table.style.setProperty('--digits', Math.max(3, String(count).length));
  floor.append(table);
  let peeks = null;
  let isOver = false;

  function peek() {
    const resting = cards.filter((card) => !card.isTurning());
    if (resting.length > 0) resting[Math.floor(Math.random() * resting.length)].peek(1 + Math.floor(Math.random() * count));
  }

  function rest() {
    clearInterval(peeks);
    peeks = null;
    for (const card of cards) card.rest();
  }

  function show(winners) {
    isOver = true;
    rest();
    winners.forEach((winner, seat) => cards[seat]?.open(winner));
    table.dataset.settled = '';
  }

  return {
    run() {
      if (isCalm()) return;
      cards.forEach((card, seat) => card.float(seat));
      peeks = setInterval(peek, PEEK_GAP_MS);
    },
    async settle(winners) {
      rest();
      await pause(GATHER_MS);
      for (const [seat, winner] of winners.entries()) {
        if (seat > 0) await pause(GAP_MS - TURN_MS);
        if (seat === winners.length - 1) {
          if (!isOver) cards[seat].lift();
          await pause(LAST_PAUSE_MS);
        }
        if (isOver) return;
        await cards[seat].turn(winner);
        if (isOver) return;
        landed(seat * 2, cards[seat].element);
      }
      show(winners);
    },
    show,
    stop() {
      isOver = true;
      rest();
    },
  };
}

/** How long turning `seats` cards takes, in milliseconds. */
export const cardsMs = (seats) => GATHER_MS + seats * GAP_MS + LAST_PAUSE_MS;

function makeCard() {
  const face = make('span', { className: 'face' });
  const body = make('div', { className: 'leaf' }, make('span', { className: 'back' }), face);
  const element = make('div', { className: 'playing-card' }, body);
  let floating = null;
  let turning = null;

  return {
    element,
    isTurning: () => turning !== null,
    float(seat) {
      floating = element.animate([{ transform: 'translateY(0.5rem)' }, { transform: 'translateY(-0.5rem)' }], {
        duration: 1_500,
        delay: seat * -520,
        iterations: Infinity,
        direction: 'alternate',
        easing: 'ease-in-out',
      });
    },
    /** A whole turn with any number on it. */
    peek(number) {
      face.textContent = digits(number);
      turning = body.animate([{ transform: 'rotateY(0)' }, { transform: 'rotateY(360deg)' }], {
        duration: PEEK_MS,
        easing: 'cubic-bezier(0.45, 0, 0.4, 1)',
      });
      turning.finished.catch(() => {}).then(() => {
        turning = null;
      });
    },
    rest() {
      floating?.cancel();
      floating = null;
      turning?.cancel();
      turning = null;
    },
    lift() {
      element.animate(
        [{ transform: 'none' }, { transform: 'scale(1.06) rotate(-1.2deg)', offset: 0.4 }, { transform: 'scale(1.06) rotate(1.2deg)' }],
        { duration: LAST_PAUSE_MS, easing: 'ease-in-out' },
      );
    },
    async turn(number) {
      face.textContent = digits(number);
      const motion = body.animate([{ transform: 'rotateY(0)' }, { transform: 'rotateY(180deg)' }], {
        duration: TURN_MS,
        easing: 'cubic-bezier(0.3, 0, 0.2, 1.25)',
        fill: 'forwards',
      });
      await motion.finished.catch(() => {});
      this.open(number);
      motion.cancel();
    },
    open(number) {
      face.textContent = digits(number);
      element.dataset.winner = number;
    },
  };
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
