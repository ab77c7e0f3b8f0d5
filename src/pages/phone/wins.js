// What this number has won: told by the server, and compared with what this phone has shown already, so that a win is celebrated once and one that
// was taken back is told.

import { call } from "../shared/api.js";
import { recall, remember } from "../shared/storage.js";

/** A reset may begin the draws' ids anew: the time tells two apart. */
const keyOf = (win) => `${win.draw_id}@${win.drawn_at}`;

/** The wins of one ticket. `noted`: by key, what was shown: { prize_name, isSeen, isHere }. */
export class Wins {
  constructor(event, session) {
    this.name = `wins.${event}`;
    this.session = session;
    this.all = [];
    const kept = recall(this.name);
    this.noted = kept?.session === session ? kept.noted : {};
  }

  /** The server's list. Gives those that were shown before and are gone: [{ draw_id, prize_name }]. */
  told(prizes) {
    this.all = prizes;
    const keys = prizes.map(keyOf);
    const gone = Object.keys(this.noted).filter((key) => !keys.includes(key));
    const lost = gone.map((key) => ({ draw_id: Number(key.split('@')[0]), prize_name: this.noted[key].prize_name }));
    for (const key of gone) delete this.noted[key];
    for (const win of prizes) this.note(win, {});
    return lost;
  }

  /** A draw that was announced just now, with this number among its winners. */
  announced({ draw_id, prize_name, prize_rank, prize_image, drawn_at }) {
    const win = { draw_id, prize_name, prize_rank, prize_image, drawn_at, claimed: false };
    if (this.all.some((known) => keyOf(known) === keyOf(win))) return;
    this.all = [...this.all, win];
    this.note(win, {});
  }

  /** Takes out the wins of a draw, all of them without one. Gives those taken out. */
  taken(draw = null) {
    const gone = this.all.filter((win) => draw === null || win.draw_id === draw);
    this.all = this.all.filter((win) => !gone.includes(win));
    for (const win of gone) delete this.noted[keyOf(win)];
    this.keep();
    return gone;
  }

  /** The first win that was not looked at yet, or null. */
  unseen() {
    return this.all.find((win) => !this.noted[keyOf(win)]?.isSeen) ?? null;
  }

  see(win) {
    this.note(win, { isSeen: true });
  }

  isHere(win) {
    return Boolean(win.arrived_at || this.noted[keyOf(win)]?.isHere);
  }

  here(draw) {
    for (const win of this.all.filter((each) => each.draw_id === draw)) this.note(win, { isHere: true });
  }

  note(win, more) {
    const key = keyOf(win);
    this.noted[key] = { prize_name: win.prize_name, ...this.noted[key], ...more };
    this.keep();
  }

  keep() {
    remember(this.name, { session: this.session, noted: this.noted });
  }
}

/** Why a win is gone: its void's reason, or 'reset' when its draw is no longer there. */
export async function whyGone(event, { draw_id: id, number }) {
  const { draws } = await call('GET', `/results?event_id=${event}`);
  const draw = draws.find((each) => each.draw_id === id);
  const seat = draw?.winners.find((winner) => winner.draw_number === number);
  return seat?.voided ? (seat.reason ?? 'other') : 'reset';
}
