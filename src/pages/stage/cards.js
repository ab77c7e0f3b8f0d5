// Card animation: up to five cards, face down, turned over one by one.
//
// While the draw runs they float, and now and then one spins and shows a random number. A winner's
// number is written on a card only when it is turned for good.

import { delay, digits, make } from "../shared/dom.js";
import { placesOf } from "./pool.js";

const SPIN_INTERVAL_MS = 430;
const SPIN_MS = 950;
const TURN_MS = 760;
const TURN_INTERVAL_MS = 1_050;
const LAST_PAUSE_MS = 650;
const GATHER_MS = 700;

export class CardAnimation {
  constructor({ area, pool, winnerCount, isReducedMotion, onLand }) {
    Object.assign(this, { pool, isReducedMotion, onLand });
    this.cards = Array.from({ length: winnerCount }, () => new Card());
    this.table = make('div', { className: 'cards' }, this.cards.map((card) => card.element));
    this.table.dataset.count = winnerCount;
    this.makeRoomFor([]);
    area.append(this.table);
    this.spinTimer = null;
    this.isOver = false;
  }

  /** Milliseconds that `settle` takes. */
  static durationMs({ winnerCount }) {
    return GATHER_MS + winnerCount * TURN_INTERVAL_MS + LAST_PAUSE_MS;
  }

  run() {
    if (this.isReducedMotion()) return;
    this.cards.forEach((card, seat) => card.float(seat));
    this.spinTimer = setInterval(() => this.spinOne(), SPIN_INTERVAL_MS);
  }

  /** Turns the winners' cards, in `pace` times the usual time. */
  async settle(winners, pace) {
    this.rest();
    this.makeRoomFor(winners);
    await delay(pace * GATHER_MS);
    for (const [seat, winner] of winners.entries()) {
      const card = this.cards[seat];
      if (seat > 0) await delay(pace * (TURN_INTERVAL_MS - TURN_MS));
      if (seat === winners.length - 1) {
        if (!this.isOver) card.lift(pace);
        await delay(pace * LAST_PAUSE_MS);
      }
      if (this.isOver) return;
      await card.turn(winner, pace);
      if (this.isOver) return;
      this.onLand(seat * 2, card.element);
    }
    this.show(winners);
  }

  show(winners) {
    this.stop();
    this.makeRoomFor(winners);
    winners.forEach((winner, seat) => this.cards[seat]?.open(winner));
    this.table.dataset.settled = '';
  }

  stop() {
    this.isOver = true;
    this.rest();
  }

  /** Sizes the type for the pool's numbers and for these. */
  makeRoomFor(numbers) {
    this.table.style.setProperty('--digits', placesOf(Math.max(this.pool.highest, ...numbers)));
  }

  spinOne() {
    const idle = this.cards.filter((card) => !card.isSpinning);
    idle[Math.floor(Math.random() * idle.length)]?.spin(this.pool.random());
  }

  rest() {
    clearInterval(this.spinTimer);
    this.spinTimer = null;
    for (const card of this.cards) card.rest();
  }
}

class Card {
  constructor() {
    this.face = make('span', { className: 'face' });
    this.body = make('div', { className: 'card-body' }, make('span', { className: 'back' }), this.face);
    this.element = make('div', { className: 'playing-card' }, this.body);
    this.floating = null;
    this.spinning = null;
  }

  get isSpinning() {
    return this.spinning !== null;
  }

  float(seat) {
    this.floating = this.element.animate([{ transform: 'translateY(0.5rem)' }, { transform: 'translateY(-0.5rem)' }], {
      duration: 1_500,
      delay: seat * -520,
      iterations: Infinity,
      direction: 'alternate',
      easing: 'ease-in-out',
    });
  }

  /** Spins once with a random number on it. */
  spin(number) {
    this.face.textContent = digits(number);
    const spinning = this.body.animate([{ transform: 'rotateY(0)' }, { transform: 'rotateY(360deg)' }], {
      duration: SPIN_MS,
      easing: 'cubic-bezier(0.45, 0, 0.4, 1)',
    });
    this.spinning = spinning;
    const end = () => (this.spinning = null);
    spinning.finished.then(end, end);
  }

  rest() {
    this.floating?.cancel();
    this.floating = null;
    this.spinning?.cancel();
    this.spinning = null;
  }

  lift(pace) {
    const frames = [
      { transform: 'none' },
      { transform: 'scale(1.06) rotate(-1.2deg)', offset: 0.4 },
      { transform: 'scale(1.06) rotate(1.2deg)' },
    ];
    this.element.animate(frames, { duration: pace * LAST_PAUSE_MS, easing: 'ease-in-out' });
  }

  async turn(number, pace) {
    this.face.textContent = digits(number);
    const turning = this.body.animate([{ transform: 'rotateY(0)' }, { transform: 'rotateY(180deg)' }], {
      duration: pace * TURN_MS,
      easing: 'cubic-bezier(0.3, 0, 0.2, 1.25)',
      fill: 'forwards',
    });
    await turning.finished.catch(() => {});
    this.open(number);
    turning.cancel();
  }

  open(number) {
    this.face.textContent = digits(number);
    this.element.dataset.winner = number;
  }
}
