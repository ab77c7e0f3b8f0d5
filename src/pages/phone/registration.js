// A phone's number: got once, kept in this browser, and got again by its recovery code.
//
// The id of a registration is made and kept before the call, so that a page that was closed, or an answer that was lost, finds the same number.

import { Refusal, call, randomId } from "../shared/api.js";
import { forget, recall, remember } from "../shared/storage.js";

/** Refusals that trying again changes: nobody answered, or the server is busy for a moment. */
const PASSING = ['OFFLINE', 'TOO_MANY', 'OVERLOADED', 'NOT_DURABLE', 'INTERNAL_ERROR'];
const RETRY_MAX_MS = 10_000;

const ticketName = (event) => `ticket.${event}`;
const tryName = (event) => `try.${event}`;

/** The ticket kept for this event, or null: { token, number, recovery, session, since }. `since`: the last draw before it, which it took no part in. */
export const keptTicket = (event) => recall(ticketName(event));

/** The registration of this browser that was begun and never answered, or null: { id, consent, since }. */
export const begunTry = (event) => recall(tryName(event));

/** Forgets the number, and the registration it came from: the next one is another. */
export function dropTicket(event) {
  forget(ticketName(event));
  forget(tryName(event));
}

/**
 * Registers this phone, and goes on trying until the server says yes or no. `since`: the last draw that began before; `onDelay`: called after each
 * try that was not answered. Gives { ticket, isKept }.
 */
export async function register(event, { consent, entryCode, since, onDelay }) {
  const id = begunTry(event)?.id ?? randomId();
  remember(tryName(event), { id, consent, since });
  for (let failures = 0; ; failures += 1) {
    try {
      const body = { event_id: event, request_id: id };
      if (consent) body.consent = true;
      if (entryCode) body.entry_code = entryCode;
      return keep(event, await call('POST', '/register', { body }), since);
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || !PASSING.includes(refusal.code)) {
        // A no gives no number: nothing is lost by forgetting the try, and a later one is a new wish.
        forget(tryName(event));
        throw refusal;
      }
      onDelay(failures + 1);
      const most = Math.min(RETRY_MAX_MS, 1_000 * 2 ** Math.min(failures, 4));
      await new Promise((done) => setTimeout(done, 300 + Math.random() * most));
    }
  }
}

/** Gets a number back by the code that was shown beside it. Gives { ticket, isKept }. */
export async function recover(event, number, code) {
  const body = { event_id: event, draw_number: number, recovery_code: code };
  return keep(event, await call('POST', '/recover', { body }), 0);
}

function keep(event, told, since) {
  const ticket = {
    token: told.session_token,
    number: told.draw_number,
    recovery: told.recovery_code,
    session: told.event_session_id,
    since: told.is_existing ? 0 : since,
  };
  const isKept = remember(ticketName(event), ticket);
  forget(tryName(event));
  return { ticket, isKept };
}
