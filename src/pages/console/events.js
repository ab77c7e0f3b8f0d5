// List of this server's events, and the dialogs that make one.

import { make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";

export class EventList {
  constructor(app) {
    this.app = app;
    const { t } = app;
    this.list = make('ul', { id: 'event-list', className: 'events' });
    const create = (isRehearsal) => () => this.create(isRehearsal);
    const buttons = [
      make('button', { type: 'button', id: 'new-rehearsal', onclick: create(true) }, t('newRehearsal')),
      make('button', { type: 'button', id: 'new-event', className: 'main', onclick: create(false) }, t('newEvent')),
    ];
    const row = make('div', { className: 'row' }, buttons);
    const heading = make('div', { className: 'row between' }, make('h1', {}, t('events')), row);
    this.element = make('section', { className: 'card' }, heading, this.list);
    this.load();
  }

  async load() {
    const { app } = this;
    const data = await app.attempt(() => app.callAll('GET', '/admin/events'));
    if (!data) return;
    const rows = data.events.sort((a, b) => b.opened_at.localeCompare(a.opened_at)).map((event) => this.row(event));
    this.list.replaceChildren(...(rows.length ? rows : [make('li', { className: 'quiet' }, app.t('noEvents'))]));
  }

  row(event) {
    const { t } = this.app;
    const line = t('eventLine', event.event_id, event.participant_count, event.draw_count, formatTime(event.opened_at));
    return make(
      'li',
      {},
      make(
        'a',
        { href: `/lottery/admin?event=${event.event_id}`, 'data-event': event.event_id },
        make('strong', {}, event.title || event.event_id),
        event.rehearsal && make('span', { className: 'mark' }, t('rehearsal')),
        make('span', { className: 'mark', 'data-phase': event.phase }, t(`phase_${event.phase}`)),
      ),
      make('p', { className: 'quiet' }, line),
    );
  }

  async create(isRehearsal) {
    const { app } = this;
    const { t } = app;
    const answer = await app.ask({
      title: isRehearsal ? t('newRehearsal') : t('newEvent'),
      text: isRehearsal ? t('newRehearsalText') : undefined,
      yes: t('make'),
      fields: [
        {
          name: 'event_id',
          label: t('eventId'),
          required: true,
          maxLength: 64,
          pattern: '[A-Za-z0-9_\\-]{1,64}',
          hint: t('eventIdHint'),
          value: isRehearsal ? `rehearsal-${Date.now().toString(36)}` : '',
        },
        { name: 'title', label: t('eventTitle'), required: true, maxLength: 200, value: isRehearsal ? t('rehearsal') : '' },
      ],
    });
    if (!answer) return;
    const body = { ...answer, rehearsal: isRehearsal, prizes: [] };
    const made = await app.attempt(() => app.callAll('POST', '/admin/events', body));
    if (made) location.assign(`/lottery/admin?event=${answer.event_id}`);
  }
}
