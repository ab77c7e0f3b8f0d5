// What this stage keeps and computes of the proof: the head of each lock as it heard it before the
// winners, and the confirmation code from that head. A code that the server sent would confirm
// nothing.

import { codeOf } from "../phone/check.js";
import { keepAnchor, keepCode, keepHead, storedReceipt } from "../shared/receipt.js";

const RESULTS = ['winner_revealed', 'winner_announced'];

export class StageProof {
  /** `show()` is called once a code is computed. */
  constructor(model, show) {
    Object.assign(this, { model, show });
  }

  /** Takes a frame, after the state has. */
  apply(frame, { event_session_id: session, current }) {
    const { event } = this.model;
    if (frame.type === 'state_sync') keepAnchor(event, session, frame);
    if (current?.status === 'started') keepHead(event, session, current, null);
    // Without an outside value, the seed is public only once the winners are.
    if (RESULTS.includes(frame.type) && (frame.seed || frame.outside_value)) this.computeCode(frame, session);
  }

  async computeCode(result, session) {
    const { event } = this.model;
    const head = storedReceipt(event, session)?.heads[result.draw_id];
    if (!head) return;
    keepCode(event, session, result.draw_id, await codeOf(head, result));
    this.show();
  }

  /** The head and the code of a draw: { head, code }, without what this stage did not hear. */
  of({ draw_id: id }) {
    const { heads, codes } = storedReceipt(this.model.event, this.model.state.event_session_id) ?? { heads: {}, codes: {} };
    return { head: heads[id], code: codes[id] };
  }
}
