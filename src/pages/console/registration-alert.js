// Alert on the run of show: numbers go as no hall takes them, or a client guesses the entry code.
// It shows the rate and what an operator can do about it.

import { make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";

export class RegistrationAlert {
  constructor(app) {
    this.app = app;
    this.shown = null;
    this.text = make('p', { id: 'registration-figures' });
    this.actions = make('div', { className: 'row' });
    this.element = make('section', { className: 'wrong', id: 'registration-alert', role: 'alert', hidden: true }, this.text, this.actions);
  }

  /** Shows the figures of the last minute; `registrations` as in the server's statistics. */
  render(registrations) {
    const { t, role } = this.app;
    this.element.hidden = !registrations?.is_alarming;
    if (!registrations?.is_alarming) return;
    const { peak_per_second: peak, last_minute: given, refused, wrong_codes: wrong, burst } = registrations;
    this.text.textContent = t('registrationAlert', peak, given, refused, wrong);
    const key = JSON.stringify([burst?.from_ms ?? null, role, this.app.state.phase]);
    // Buttons are made anew only when they change, so that none vanishes under a finger.
    if (this.shown === key) return;
    this.shown = key;
    const button = (id, onclick) => make('button', { type: 'button', id, onclick }, t(id));
    this.actions.replaceChildren(
      button('alert-rotate', () => this.send('POST', 'entry-code', { rotates: true })),
      button('alert-close', () => this.send('POST', 'phase', { phase: 'drawing' })),
      ...(burst ? [button('alert-remove', () => this.removeBurst(burst))] : []),
      ...(role === 'admin' ? [button('alert-raise', () => this.raise())] : []),
    );
  }

  send(method, path, body) {
    return this.app.attempt(() => this.app.call(method, path, body), this.app.t('saved'));
  }

  async removeBurst({ from_ms: from, until_ms: until, count }) {
    const { app } = this;
    const { t } = app;
    const text = t('removeBurstText', formatTime(new Date(from).toISOString()), formatTime(new Date(until).toISOString()), count);
    if (!(await app.ask({ title: t('alert-remove'), text, yes: t('alert-remove'), danger: true }))) return;
    const data = await app.attempt(() => app.call('POST', 'participants/remove', { from_ms: from, until_ms: until }));
    if (data) app.notify(t('didRemoveBurst', data.removed), 'good');
  }

  async raise() {
    const { app } = this;
    const { t } = app;
    const event = await app.attempt(() => app.callAll('GET', `/admin/events/${app.event}`));
    if (!event) return;
    const { participants_max: min } = event;
    const size = { name: 'participants_max', label: t('participantsMax'), type: 'number', min, value: 2 * min };
    const answer = await app.ask({ title: t('alert-raise'), yes: t('save'), fields: [size] });
    if (answer) await app.attempt(() => app.callAll('PATCH', `/admin/events/${app.event}`, answer), t('saved'));
  }
}
