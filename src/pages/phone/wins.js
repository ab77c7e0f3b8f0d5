// Wins of this number: the server's list, compared with what this phone has shown already, so that
// a win is celebrated once and a withdrawn one is explained.

import { call } from "../shared/api.js";
import * as storage from "../shared/storage.js";

/** A reset may restart the draws' ids: the time of the draw distinguishes them. */
const keyOf = (win) => `${win.draw_id}@${win.drawn_at}`;

/**
 * The wins of one ticket. `noted`: by key, what this phone has shown: { prize_name, isSeen, isHere
 * }.
 */
export class Wins {
  constructor(event, session) {
    this.name = `wins.${event}`;
    this.all = [];
    this.session = session;
    const stored = storage.get(this.name);
    this.noted = stored?.session === session ? stored.noted : {};
  }

  /**
   * Takes the server's list. Gives those shown before and no longer in it: [{ draw_id, prize_name
   * }].
   */
  replace(prizes) {
    this.all = prizes;
    const keys = prizes.map(keyOf);
    const gone = Object.keys(this.noted).filter((key) => !keys.includes(key));
    const lost = gone.map((key) => ({ draw_id: Number(key.split('@')[0]), prize_name: this.noted[key].prize_name }));
    for (const key of gone) delete this.noted[key];
    for (const win of prizes) this.note(win, {});
    return lost;
  }

  /** Adds a draw that was announced just now, with this number among its winners. */
  add({ draw_id, prize_name, prize_rank, prize_grade, prize_image, drawn_at }) {
    const win = { draw_id, prize_name, prize_rank, prize_grade, prize_image, drawn_at, claimed: false };
    if (this.all.some((known) => keyOf(known) === keyOf(win))) return;
    this.all = [...this.all, win];
    this.note(win, {});
  }

  /** Removes the wins of one draw, or all of them. Gives those removed. */
  remove(draw = null) {
    const gone = this.all.filter((win) => draw === null || win.draw_id === draw);
    this.all = this.all.filter((win) => !gone.includes(win));
    for (const win of gone) delete this.noted[keyOf(win)];
    this.store();
    return gone;
  }

  /** The first win that its owner has not opened, or null. */
  firstUnseen() {
    return this.all.find((win) => !this.noted[keyOf(win)]?.isSeen) ?? null;
  }

  /** The first win whose prize was not handed over yet, if any. */
  firstUnclaimed() {
    return this.all.find((win) => !win.handed_over_at);
  }

  markSeen(win) {
    this.note(win, { isSeen: true });
  }

  /** True once the host knows that the winner is present. */
  isHere(win) {
    return Boolean(win.arrived_at || this.noted[keyOf(win)]?.isHere);
  }

  markHere(draw) {
    for (const win of this.all.filter((each) => each.draw_id === draw)) this.note(win, { isHere: true });
  }

  note(win, more) {
    const key = keyOf(win);
    this.noted[key] = { prize_name: win.prize_name, ...this.noted[key], ...more };
    this.store();
  }

  store() {
    storage.set(this.name, { session: this.session, noted: this.noted });
  }
}

/** The reason a win is gone: that of its void, or 'reset' when its draw no longer exists. */
export async function reasonOfLoss(event, { draw_id: id, number }) {
  const { draws } = await call('GET', `/results?event_id=${event}`);
  const draw = draws.find((each) => each.draw_id === id);
  const seat = draw?.winners.find((winner) => winner.draw_number === number);
  return seat?.voided ? (seat.reason ?? 'other') : 'reset';
}
