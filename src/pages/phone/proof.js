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

export class Proof {
  /** `model.checked` is changed here, and `show()` called after a change. */
  constructor(model, show) {
    Object.assign(this, { model, show, event: model.event });
  }

  set(change) {
    Object.assign(this.model.checked, change);
    this.show();
  }

  /** Takes a frame, after the state has. */
  apply(frame, state, ticket) {
    const { event_session_id: session, current } = state;
    keepAnchor(this.event, session, frame.anchor);
    if (current?.head) keepHead(this.event, session, current);
    if (frame.type === 'draw_started') {
      this.set({ code: null, place: null });
      if (ticket && frame.head) this.checkPlace(frame, state, ticket);
    }
    if (frame.type === 'winner_announced' && (frame.seed || frame.outside_value)) this.checkCode(frame, session);
  }

  /** Asks for the path of this phone's registration, and checks that it leads to one root. */
  async checkPlace({ draw_id: id }, { event_session_id: session, participant_count: count }, { number, token, receipt: key }) {
    await delay(Math.random() * (PATH_SPREAD_MS + count * PATH_SPREAD_PER_PHONE_MS));
    try {
      const found = await call('GET', `/proof/path?event_id=${this.event}`, { token });
      const { isLocked } = await import("./check.js");
      if (found.draw_id !== id) return;
      const isIn = isLocked(number, key ?? found.receipt, found);
      if (isIn) keepPath(this.event, session, found);
      this.set({ place: { draw: id, isIn } });
    } catch {
      // Without an answer nothing is claimed; the verify page asks again.
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
