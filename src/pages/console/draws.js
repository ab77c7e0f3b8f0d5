// Results on the run of show: the last draws, each winner, and a way to void an absent one.
//
// A void is public at once and final. The button for an absent winner therefore counts down, and
// a second press stops it; every other reason needs a dialog.

import { digits, make } from "../shared/dom.js";
import { isolate } from "../shared/i18n.js";
import { playChime } from "./chime.js";
import { fillIfChanged } from "./rows.js";

const GRACE_SECONDS = 3;
const DRAWS_MAX = 12;
/** Frames come in bursts; one request serves them all. */
const LOAD_AFTER_MS = 250;
const REASONS = ['absent', 'declined', 'ineligible', 'duplicate_person', 'operator_error', 'other'];
const FRAMES = [
  'state_sync',
  'winner_revealed',
  'winner_announced',
  'draw_voided',
  'winner_info_received',
  'winner_updated',
  'event_reset',
];

const keyOf = (seat) => `${seat.draw_id}:${seat.draw_number}`;

export class Draws {
  constructor(app) {
    this.app = app;
    this.seats = [];
    this.isLoaded = false;
    this.loadTimer = null;
    /** The seat about to be voided: { key, secondsLeft, timer }. */
    this.pending = null;
    this.heading = make('h2');
    this.list = make('ol', { id: 'drawn', className: 'drawn' });
    this.element = make('section', { className: 'card results' }, this.heading, this.list);
    app.listeners.add(({ type }) => {
      if (FRAMES.includes(type)) this.refresh();
    });
  }

  refresh() {
    clearTimeout(this.loadTimer);
    this.loadTimer = setTimeout(() => this.load(), LOAD_AFTER_MS);
  }

  async load() {
    const data = await this.app.attempt(() => this.app.call('GET', 'draws'));
    if (!data) return;
    const arrived = (seats) => seats.filter((seat) => seat.arrived).map(keyOf);
    const before = this.isLoaded ? arrived(this.seats) : null;
    this.seats = data.draws;
    this.isLoaded = true;
    if (before && arrived(this.seats).some((key) => !before.includes(key))) playChime();
    this.render();
  }

  focusFirst() {
    this.list.querySelector('[data-absent]')?.focus();
  }

  render() {
    const { t } = this.app;
    this.heading.textContent = t('drawn');
    const draws = this.latestDraws();
    const none = () => [make('li', { className: 'quiet' }, t('noDraws'))];
    fillIfChanged(this.list, draws, () => (draws.length ? draws.map((seats) => this.drawItem(seats)) : none()));
  }

  /** Seats per draw, the latest draw first. */
  latestDraws() {
    const draws = new Map();
    for (const seat of this.seats) {
      if (!draws.has(seat.draw_id)) draws.set(seat.draw_id, []);
      draws.get(seat.draw_id).push(seat);
    }
    return [...draws.values()].sort(([a], [b]) => b.draw_id - a.draw_id).slice(0, DRAWS_MAX);
  }

  drawItem(seats) {
    const [draw] = seats;
    const name = draw.prize_grade ? `${draw.prize_grade} · ${isolate(draw.prize_name)}` : draw.prize_name;
    const status = make('span', { className: 'quiet' }, this.app.t(`drawn_${draw.status}`));
    return make(
      'li',
      { 'data-draw': draw.draw_id },
      make('p', { className: 'title' }, make('strong', { dir: 'auto' }, name), status),
      make('ul', { className: 'seats' }, seats.map((seat) => this.seatItem(seats, seat))),
    );
  }

  seatItem(seats, seat) {
    const { t } = this.app;
    const isVoided = seat.status === 'voided' || seat.voided;
    const key = keyOf(seat);
    const number = digits(seat.draw_number);
    const marks = [
      isVoided && t('seat_voided'),
      !isVoided && seat.arrived && t('seat_arrived'),
      !isVoided && (seat.details_received ?? false) && t('seat_details'),
      !isVoided && seat.claimed && t('seat_claimed'),
    ].filter(Boolean);
    const canVoid = seats.some((one) => one.status === 'announced') && !isVoided && !seat.handed_over_at;
    const absent = { className: 'small', 'data-absent': key, 'data-focus': `absent:${key}`, onclick: () => this.toggleAbsent(seat, key) };
    const other = { className: 'small plain', 'data-focus': `other:${key}`, 'aria-label': t('voidOther', number), onclick: () => this.askToVoid(seat) };
    return make(
      'li',
      { className: isVoided ? 'seat voided' : 'seat', 'data-seat': key, 'data-arrived': !isVoided && seat.arrived ? '' : null },
      make('span', { className: 'number' }, number),
      make('span', { className: 'quiet marks' }, marks.join(' · ')),
      canVoid && make('button', { type: 'button', ...absent }, this.absentText(key)),
      canVoid && make('button', { type: 'button', ...other }, '⋯'),
    );
  }

  absentText(key) {
    const { t } = this.app;
    return this.pending?.key === key ? t('absentGrace', this.pending.secondsLeft) : t('absent');
  }

  /** Starts the countdown of a seat, or takes it back. */
  toggleAbsent(seat, key) {
    const isSame = this.pending?.key === key;
    if (this.pending) clearInterval(this.pending.timer);
    this.pending = isSame ? null : { key, secondsLeft: GRACE_SECONDS, timer: setInterval(() => this.countDown(seat), 1_000) };
    this.renderPending();
  }

  countDown(seat) {
    this.pending.secondsLeft -= 1;
    if (this.pending.secondsLeft > 0) return this.renderPending();
    clearInterval(this.pending.timer);
    this.pending = null;
    this.voidSeat(seat, 'absent', true);
  }

  /** Changes only the text of the buttons, so that the one in use keeps the focus. */
  renderPending() {
    for (const button of this.list.querySelectorAll('[data-absent]')) button.textContent = this.absentText(button.dataset.absent);
  }

  async askToVoid(seat) {
    const { t } = this.app;
    const options = REASONS.map((reason) => [reason, t(`reason_${reason}`)]);
    const answer = await this.app.ask({
      title: t('voidTitle', digits(seat.draw_number)),
      text: t('voidText'),
      yes: t('voidYes'),
      danger: true,
      fields: [
        { name: 'reason', label: t('reason'), options, value: 'absent' },
        { name: 'redraw', label: t('redraw'), type: 'checkbox', value: true },
      ],
    });
    if (answer) await this.voidSeat(seat, answer.reason, answer.redraw);
  }

  async voidSeat({ draw_id, draw_number }, reason, redraw) {
    const { t } = this.app;
    const success = t(redraw ? 'did_redraw' : 'did_void', digits(draw_number));
    const call = () => this.app.call('POST', 'draw/void', { draw_id, draw_number, reason, redraw });
    await (redraw ? this.app.takeStep('start', call, success) : this.app.attempt(call, success));
    this.refresh();
  }
}
