// What this phone keeps and checks of the proof: the lock of each draw, its own place in the locked
// list, and the confirmation code, all computed here and not taken from the server's word.
//
// The hashing is loaded once a draw has started, since a phone must show its number first.

import { call } from "../shared/api.js";
import { delay } from "../shared/dom.js";
import { keepAnchor, keepCode, keepHead, keepPath, storedReceipt } from "../shared/receipt.js";

/** Phones ask for their path over this time, so that they do not all ask at once. */
const PATH_SPREAD_MS = 3_000;
const PATH_SPREAD_PER_PHONE_MS = 4;
const PATH_SPREAD_MAX_MS = 20_000;
/** A page that sleeps misses ticks. For a while after it, frames may be old. */
const TICK_MS = 1_000;
const SLEEP_MS = 3_000;
const SETTLE_MS = 10_000;

export class Proof {
  /** `model.checked` is changed here, and `show()` called after a change. */
  constructor(model, show) {
    Object.assign(this, { model, show, event: model.event });
    /** From this time on, by the wall clock, a frame comes when the server sends it. */
    this.liveFrom = Infinity;
    this.tickAt = Date.now();
    setInterval(() => this.tick(), TICK_MS);
  }

  tick() {
    const now = Date.now();
    if (Math.abs(now - this.tickAt) > SLEEP_MS) this.liveFrom = Math.max(this.liveFrom, now + SETTLE_MS);
    this.tickAt = now;
  }

  /** Notes that the connection is gone: what was missed comes before the next state. */
  pause() {
    this.liveFrom = Infinity;
  }

  /** The time, if a frame that comes now was just sent; else null. */
  liveTime() {
    const now = Date.now();
    return now >= this.liveFrom && Math.abs(now - this.tickAt) <= SLEEP_MS ? now : null;
  }

  set(change) {
    Object.assign(this.model.checked, change);
    this.show();
  }

  /** Takes a frame, after the state has. */
  apply(frame, state, ticket) {
    const { event_session_id: session, current } = state;
    if (frame.type === 'state_sync') {
      keepAnchor(this.event, session, frame);
      if (this.liveFrom === Infinity) this.liveFrom = Date.now();
    }
    if (current?.draw_id) keepHead(this.event, session, current, frame.type === 'draw_started' ? this.liveTime() : null);
    if (frame.type === 'draw_started') {
      this.set({ code: null, place: null });
      if (ticket && frame.head) this.checkPlace(frame, state, ticket);
    }
    if (frame.type === 'winner_announced' && (frame.seed || frame.outside_value)) this.checkCode(frame, session);
  }

  /** Asks for the path of this phone's registration, and checks where it leads. */
  async checkPlace({ draw_id: id }, { event_session_id: session, participant_count: count }, ticket) {
    await delay(Math.random() * Math.min(PATH_SPREAD_MAX_MS, PATH_SPREAD_MS + count * PATH_SPREAD_PER_PHONE_MS));
    try {
      const { keyOf, placeOf } = await import("./check.js");
      const key = ticket.id ? keyOf(ticket.id) : null;
      // A number that this browser did not register itself: its key is the server's word.
      if (key === null || (ticket.isExisting && key !== ticket.receipt)) return;
      const found = await call('GET', `/proof/path?event_id=${this.event}`, { token: ticket.token });
      if (found.draw_id !== id) return;
      const head = storedReceipt(this.event, session)?.heads[id];
      const place = key === ticket.receipt ? placeOf(ticket.number, key, head, found) : 'out';
      if (place !== 'out') keepPath(this.event, session, found);
      this.set({ place });
    } catch {
      // Without an answer nothing is claimed.
    }
  }

  /** Computes the code from the lock that this phone heard. */
  async checkCode(announcement, session) {
    const { draw_id: id } = announcement;
    const head = storedReceipt(this.event, session)?.heads[id];
    if (!head) return;
    const { codeOf } = await import("./check.js");
    const code = await codeOf(head, announcement);
    keepCode(this.event, session, id, code);
    this.set({ code });
  }
}
