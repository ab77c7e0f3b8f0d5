// What was drawn: the last draws, each winner's seat, and the way out when somebody is not there.
//
// Voiding is public at once and cannot be taken back. The one tap for an absent winner therefore counts down for a moment in which a second tap
// takes it back; every other reason is asked for.

import { digits, make } from "../shared/dom.js";

const GRACE_S = 3;
const DRAWS_SHOWN = 12;
const REASONS = ['absent', 'declined', 'ineligible', 'duplicate_person', 'operator_error', 'other'];

export function drawn(desk) {
  const { t } = desk;
  let rows = [];
  let timer = null;
  /** The seat that is about to be voided: { key, left, timer }. */
  let pending = null;

  const heading = make('h2');
  const list = make('ol', { id: 'drawn', className: 'drawn' });
  const element = make('section', { className: 'card results' }, heading, list);

  async function load() {
    const data = await desk.attempt(() => desk.call('GET', 'draws'));
    if (!data) return;
    rows = data.draws;
    render();
  }

  /** Frames come in bursts; one question answers them all. */
  function refresh() {
    clearTimeout(timer);
    timer = setTimeout(load, 250);
  }

  function byDraw() {
    const draws = new Map();
    for (const row of rows) {
      if (!draws.has(row.draw_id)) draws.set(row.draw_id, { ...row, seats: [] });
      draws.get(row.draw_id).seats.push(row);
    }
    return [...draws.values()].sort((a, b) => b.draw_id - a.draw_id).slice(0, DRAWS_SHOWN);
  }

  function render() {
    heading.textContent = t('drawn');
    const items = byDraw().map((draw) =>
      make(
        'li',
        { 'data-draw': draw.draw_id },
        make('p', { className: 'title' }, make('strong', {}, draw.prize_name), make('span', { className: 'quiet' }, t(`drawn_${draw.status}`))),
        make('ul', { className: 'seats' }, draw.seats.map((seat) => line(draw, seat))),
      ),
    );
    list.replaceChildren(...(items.length ? items : [make('li', { className: 'quiet' }, t('noDraws'))]));
  }

  function line(draw, seat) {
    const isVoided = seat.status === 'voided' || seat.voided;
    const key = `${seat.draw_id}:${seat.draw_number}`;
    const marks = [
      isVoided && t('seat_voided'),
      !isVoided && seat.arrived && t('seat_arrived'),
      !isVoided && (seat.details_received ?? false) && t('seat_details'),
      !isVoided && seat.claimed && t('seat_claimed'),
    ].filter(Boolean);
    const canVoid = draw.seats.some((one) => one.status === 'announced') && !isVoided && !seat.handed_over_at;
    return make(
      'li',
      { className: isVoided ? 'seat voided' : 'seat', 'data-seat': key },
      make('span', { className: 'number' }, digits(seat.draw_number)),
      make('span', { className: 'quiet marks' }, marks.join(' · ')),
      canVoid && make('button', { type: 'button', className: 'small', 'data-absent': key, onclick: () => absent(seat, key) }, absentText(key)),
      canVoid &&
        make('button', { type: 'button', className: 'small plain', 'aria-label': t('voidOther', digits(seat.draw_number)), onclick: () => other(seat) }, '⋯'),
    );
  }

  const absentText = (key) => (pending?.key === key ? t('absentGrace', pending.left) : t('absent'));

  function absent(seat, key) {
    const wasMine = pending?.key === key;
    if (pending) clearInterval(pending.timer);
    pending = null;
    if (!wasMine) {
      const mine = { key, left: GRACE_S, timer: null };
      mine.timer = setInterval(() => {
        mine.left -= 1;
        if (mine.left > 0) return renderPending();
        clearInterval(mine.timer);
        pending = null;
        voidSeat(seat, 'absent', true);
      }, 1_000);
      pending = mine;
    }
    renderPending();
  }

  /** Only the words on the buttons change, so that the one in use keeps the focus. */
  function renderPending() {
    for (const button of list.querySelectorAll('[data-absent]')) button.textContent = absentText(button.dataset.absent);
  }

  async function other(seat) {
    const answer = await desk.ask({
      title: t('voidTitle', digits(seat.draw_number)),
      text: t('voidText'),
      yes: t('voidYes'),
      danger: true,
      fields: [
        { name: 'reason', label: t('reason'), options: REASONS.map((reason) => [reason, t(`reason_${reason}`)]), value: 'absent' },
        { name: 'redraw', label: t('redraw'), type: 'checkbox', value: true },
      ],
    });
    if (answer) await voidSeat(seat, answer.reason, answer.redraw);
  }

  async function voidSeat({ draw_id, draw_number }, reason, redraw) {
    const done = redraw ? t('did_redraw', digits(draw_number)) : t('did_void', digits(draw_number));
    await desk.attempt(() => desk.call('POST', 'draw/void', { draw_id, draw_number, reason, redraw }), done);
    refresh();
  }

  desk.listeners.add((frame) => {
    if (['state_sync', 'winner_revealed', 'winner_announced', 'draw_voided', 'winner_info_received', 'winner_updated', 'event_reset'].includes(frame.type)) refresh();
  });
  return {
    element,
    render,
    refresh,
    reworded: render,
    focusFirst: () => list.querySelector('[data-absent]')?.focus(),
  };
}
