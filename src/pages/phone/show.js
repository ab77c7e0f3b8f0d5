// The show on a phone: its own number rolls while a draw runs, the last seconds count down with
// every other page, and at the moment a winner glows and the others dim.
//
// The roll ends on the phone's own number, won or not: there is nothing in it to learn. A sample of
// the phones reports when it showed the winners, for the console.

import { Countdown } from "../shared/countdown.js";
import { byId, digits, make } from "../shared/dom.js";
import { Waiting } from "./waiting.js";

/** Phones that report per draw, about; the server computes the same sample. */
const SAMPLE = 64;
const REPORT_SPREAD_MS = 2_000;
/** Time of a digit on a rolling strip. */
const DIGIT_MS = 70;
/** The second in which the digits come to rest, and the rounds that they turn meanwhile. */
const LANDING_SECOND = 1;
const LANDING_ROUNDS = 2;
const STRIP = Array.from({ length: 10 * (LANDING_ROUNDS + 2) }, (_, row) => row % 10).join('\n');
const MOMENTS = ['won', 'lost'];
const { body } = document;
const prefersStill = matchMedia('(prefers-reduced-motion: reduce)');

export class Show {
  /** `connection`: measures the time left and sends; `show()`: renders after a change of the model. */
  constructor({ model, connection, show }) {
    Object.assign(this, { model, connection, show });
    this.countdown = new Countdown({ until: (draw) => connection.untilShown(draw), show: (second) => this.count(second) });
    this.view = null;
    this.reels = [];
    this.reported = null;
    window.addEventListener('resize', () => this.place());
    this.waiting = new Waiting(model);
  }

  /** Follows the page, after it was rendered. */
  follow(view) {
    const { current, announced } = this.model.state;
    const isRunning = view === 'suspense';
    if (isRunning && this.reels.length === 0 && !prefersStill.matches) this.roll();
    if (!isRunning) this.stop();
    this.countdown.follow(isRunning ? current : null);
    if (view !== this.view) body.toggleAttribute('data-moment', this.view === 'suspense' && MOMENTS.includes(view));
    this.view = view;
    this.waiting.render(view);
    if (announced?.show_at && MOMENTS.includes(view)) this.report(announced);
  }

  count(second) {
    this.model.count = second;
    if (second === null) delete body.dataset.count;
    else body.dataset.count = second;
    this.show();
    if (second === null || prefersStill.matches) return;
    byId('now-title').animate([{ transform: 'scale(1.6)', opacity: 0 }, { transform: 'none' }], { duration: 350, easing: 'ease-out' });
    if (second === LANDING_SECOND) this.land(this.connection.untilShown(this.model.state.current));
  }

  /** Lays rolling digits over the number. */
  roll() {
    const number = byId('number');
    const shown = digits(this.model.ticket.number);
    this.reels = [...shown].map((digit) => {
      const strip = make('span', { className: 'strip' }, STRIP);
      const motion = strip.animate([atRow(0), atRow(10)], { duration: 10 * DIGIT_MS, iterations: Infinity, iterationStart: Math.random() });
      return { digit, strip, motion };
    });
    const windows = this.reels.map(({ strip }) => make('span', { className: 'reel' }, strip));
    this.element = make('p', { id: 'roll', 'aria-hidden': 'true' }, windows);
    number.after(this.element);
    this.place();
    body.dataset.rolling = '';
  }

  /** Puts the roll over the number, which has another size once the phone is turned. */
  place() {
    const number = byId('number');
    if (this.element) this.element.style.cssText = `top:${number.offsetTop}px;font-size:${getComputedStyle(number).fontSize}`;
  }

  /** Brings the digits to rest on the phone's own number within `leftMs`, from left to right. */
  land(leftMs) {
    this.reels.forEach(({ digit, strip, motion }, place) => {
      const from = 10 * (motion.effect.getComputedTiming().progress ?? 0);
      const to = 10 * LANDING_ROUNDS + Number(digit);
      const duration = leftMs * (0.5 + (0.45 * (place + 1)) / this.reels.length);
      motion.cancel();
      strip.animate([atRow(from), atRow(to)], { duration, easing: 'cubic-bezier(0.2, 0.7, 0.3, 1)', fill: 'forwards' });
    });
  }

  stop() {
    this.element?.remove();
    this.element = null;
    this.reels = [];
    delete body.dataset.rolling;
  }

  /** Reports how long after the planned moment the winners are on the screen, if this phone is of the sample. */
  report({ draw_id: draw, show_at: showAt }) {
    const { ticket, state } = this.model;
    if (this.reported === draw) return;
    this.reported = draw;
    const { clock } = this.connection;
    if (!clock.isSet || (ticket.number + draw) % Math.max(1, Math.ceil(state.participant_count / SAMPLE)) !== 0) return;
    requestAnimationFrame(() => {
      const late = Math.round(clock.now() - Date.parse(showAt));
      setTimeout(() => this.connection.send({ type: 'turned', draw_id: draw, late_ms: late }), Math.random() * REPORT_SPREAD_MS);
    });
  }
}

const atRow = (row) => ({ transform: `translateY(${-row}em)` });
