// Registration of a phone: obtains a number once, stores it in this browser, and restores it by its
// recovery code.
//
// The registration's id is made and stored before the call, so that a page that was closed, or an
// answer that was lost, finds the same number. Stored names and fields must not change: phones hold
// them across an upgrade of the server.

import { Refusal, call, randomId } from "../shared/api.js";
import { byId, delay, setText } from "../shared/dom.js";
import * as storage from "../shared/storage.js";

/** Refusals worth a retry: no answer, or a busy server. */
const TRANSIENT = ['OFFLINE', 'TOO_MANY', 'OVERLOADED', 'NOT_DURABLE', 'OUTCOME_UNKNOWN', 'INTERNAL_ERROR'];
const RETRY_MIN_MS = 300;
const RETRY_MAX_MS = 10_000;
const RECOVERY_CODE_CHARS = 8;

const ticketKey = (event) => `ticket.${event}`;
const attemptKey = (event) => `try.${event}`;
const passKey = (event) => `pass.${event}`;

/**
 * The ticket stored for this event, or null: { token, number, recovery, session, since, id,
 * isExisting, receipt, replaces }. `id`: what this browser made up for the registration, null after
 * a recovery; its hash is the registration's key, and `receipt` what the server says that key is.
 * `isExisting`: the server says that the number was given before.
 * `since`: the last draw before it, in which it took no part; `replaces`: the number that a restore
 * of the server took from this phone, if any.
 */
export const storedTicket = (event) => storage.get(ticketKey(event));

/** The registration of this browser that is still unanswered, or null: { id, consent, since }. */
export const pendingAttempt = (event) => storage.get(attemptKey(event));

/** Removes the number and the registration it came from: the next one is new. */
export function removeTicket(event) {
  storage.remove(ticketKey(event));
  storage.remove(attemptKey(event));
}

/**
 * Exchanges the code of a scanned QR code for a pass, with which this phone may finish its
 * registration minutes later. A code that came too late is found out by the registration.
 */
export async function takeEntryPass(event) {
  const code = new URLSearchParams(location.hash.slice(1)).get('code');
  if (!code) return;
  history.replaceState(null, '', location.pathname + location.search);
  const id = pendingAttempt(event)?.id ?? randomId();
  const body = { event_id: event, request_id: id, entry_code: code };
  try {
    const { entry_pass: pass } = await call('POST', '/entry-pass', { body });
    storage.set(passKey(event), { id, pass });
  } catch {
    storage.remove(passKey(event));
  }
}

/**
 * Registers this phone, and retries until the server accepts or refuses. `since`: the last draw
 * that began before; `replaces`: the number that was lost; `onRetry(failures)`: called after each
 * attempt without an answer. Gives { ticket, isStored }.
 */
async function register(event, { consent, entryCode, since, replaces, onRetry = () => {} }) {
  const id = pendingAttempt(event)?.id ?? storage.get(passKey(event))?.id ?? randomId();
  storage.set(attemptKey(event), { id, consent, since });
  for (let failures = 0; ; failures += 1) {
    try {
      const body = { event_id: event, request_id: id };
      if (consent) body.consent = true;
      if (entryCode) body.entry_code = entryCode;
      const pass = storage.get(passKey(event));
      if (pass?.id === id) body.entry_pass = pass.pass;
      return storeTicket(event, await call('POST', '/register', { body }), { id, since, replaces });
    } catch (refusal) {
      if (!(refusal instanceof Refusal) || !TRANSIENT.includes(refusal.code)) {
        // A refusal gives no number, so the next attempt may use a new id.
        storage.remove(attemptKey(event));
        throw refusal;
      }
      onRetry(failures + 1);
      const backoffMs = Math.min(RETRY_MAX_MS, 1_000 * 2 ** Math.min(failures, 4));
      await delay(RETRY_MIN_MS + Math.random() * backoffMs);
    }
  }
}

const lastDraw = ({ current, announced, last_draw_id: last }) =>
  Math.max(0, current?.draw_id ?? 0, announced?.draw_id ?? 0, last ?? 0);

function storeTicket(event, data, { id = null, since = 0, replaces = null } = {}) {
  const ticket = {
    token: data.session_token,
    number: data.draw_number,
    recovery: data.recovery_code,
    session: data.event_session_id,
    since: data.is_existing ? 0 : since,
    id,
    isExisting: Boolean(data.is_existing),
    receipt: data.receipt,
    replaces: replaces === data.draw_number ? null : replaces,
  };
  const isStored = storage.set(ticketKey(event), ticket);
  storage.remove(passKey(event));
  storage.remove(attemptKey(event));
  return { ticket, isStored };
}

/**
 * Forms through which a person gets a number. They change `model` and call back: adopt(result) with
 * the number, closeRegistration(code), refresh(), goTo(page) and show().
 */
export class RegistrationForms {
  constructor({ model, t, ...callbacks }) {
    Object.assign(this, { model, t, callbacks });
  }

  /** Registers; `pending`: the attempt of an earlier page, whose answer has not arrived. */
  async join(entryCode, pending = null) {
    const { model, callbacks } = this;
    if (model.isRegistering) return;
    Object.assign(model, { isRegistering: true, failures: 0, refusal: null });
    callbacks.show();
    const since = pending?.since ?? lastDraw(model.state);
    const consent = pending?.consent ?? Boolean(model.state.consent_required);
    const onRetry = (failures) => {
      model.failures = failures;
      callbacks.show();
    };
    try {
      const replaces = model.isForgotten ? model.oldNumber : null;
      callbacks.adopt(await register(model.event, { consent, entryCode, since, replaces, onRetry }));
    } catch (error) {
      await this.handleRefusal(error instanceof Refusal ? error.code : 'FAILED', entryCode);
    }
    model.isRegistering = false;
    callbacks.show();
    if (model.needsCode && !model.ticket) byId('entry-code').select();
  }

  async handleRefusal(code, entryCode) {
    const { model, callbacks } = this;
    if (code === 'EVENT_NOT_FOUND') model.ending = 'no-event';
    else if (code === 'EVENT_CLOSED' || code === 'REGISTRATION_CLOSED') callbacks.closeRegistration(code);
    else if (code === 'EVENT_FULL') model.refusal = code;
    else if (code === 'CONSENT_REQUIRED') await callbacks.refresh();
    else if (code === 'FORBIDDEN') {
      await callbacks.refresh();
      const { entry_code_rotates: rotates } = model.state;
      model.refusal = rotates ? 'ENTRY_EXPIRED' : entryCode ? 'ENTRY_WRONG' : 'ENTRY_NEEDED';
      model.needsCode = !rotates;
    } else model.refusal = 'FAILED';
  }

  /**
   * Finds the number of this browser's cookie after registration has closed; a phone without one
   * needs its recovery code.
   */
  async findNumber() {
    const { model, callbacks } = this;
    if (model.state.registration_open && !model.isReset) return callbacks.goTo('recover');
    try {
      callbacks.adopt(await register(model.event, { consent: false, since: 0 }));
      callbacks.show();
    } catch {
      callbacks.goTo('recover');
    }
  }

  async recover() {
    const { model, t, callbacks } = this;
    const number = Number.parseInt(byId('recover-number').value, 10);
    const code = byId('recover-code').value.trim();
    const isComplete = number > 0 && code.replace(/[\s-]/g, '').length === RECOVERY_CODE_CHARS;
    if (!isComplete) return setText('recover-wrong', t('recoverMissing'));
    byId('recover-button').disabled = true;
    setText('recover-wrong', '');
    try {
      const body = { event_id: model.event, draw_number: number, recovery_code: code };
      callbacks.adopt(storeTicket(model.event, await call('POST', '/recover', { body })));
      callbacks.show();
    } catch ({ code: reason }) {
      setText('recover-wrong', t({ OFFLINE: 'offline', TOO_MANY: 'tooMany' }[reason] ?? 'recoverWrong'));
    }
    byId('recover-button').disabled = false;
  }
}
