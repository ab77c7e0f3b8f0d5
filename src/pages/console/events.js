// All events of this server: opened, made, and told apart.

import { moment } from "../shared/i18n.js";
import { make } from "../shared/dom.js";

export function build(desk) {
  const { t } = desk;
  const list = make('ul', { id: 'event-list', className: 'events' });
  const element = make(
    'section',
    { className: 'card' },
    make(
      'div',
      { className: 'row between' },
      make('h1', {}, t('events')),
      make(
        'div',
        { className: 'row' },
        make('button', { type: 'button', id: 'new-rehearsal', onclick: () => create(true) }, t('newRehearsal')),
        make('button', { type: 'button', id: 'new-event', className: 'main', onclick: () => create(false) }, t('newEvent')),
      ),
    ),
    list,
  );

  async function load() {
    const data = await desk.attempt(() => desk.callAll('GET', '/admin/events'));
    if (!data) return;
    const events = [...data.events].sort((a, b) => b.opened_at.localeCompare(a.opened_at));
    list.replaceChildren(...(events.length ? events.map(row) : [make('li', { className: 'quiet' }, t('noEvents'))]));
  }

  const row = (event) =>
    make(
      'li',
      {},
      make(
        'a',
        { href: `/lottery/admin?event=${event.event_id}`, 'data-event': event.event_id },
        make('strong', {}, event.title || event.event_id),
        event.rehearsal && make('span', { className: 'mark' }, t('rehearsal')),
        make('span', { className: 'mark', 'data-phase': event.phase }, t(`phase_${event.phase}`)),
      ),
      make('p', { className: 'quiet' }, t('eventLine', event.event_id, event.participant_count, event.draw_count, moment(event.opened_at))),
    );

  async function create(isRehearsal) {
    const answer = await desk.ask({
      title: isRehearsal ? t('newRehearsal') : t('newEvent'),
      text: isRehearsal ? t('newRehearsalText') : undefined,
      yes: t('make'),
      fields: [
        { name: 'event_id', label: t('eventId'), required: true, maxLength: 64, pattern: '[A-Za-z0-9_\\-]{1,64}', hint: t('eventIdHint'), value: isRehearsal ? `rehearsal-${Date.now().toString(36)}` : '' },
        { name: 'title', label: t('eventTitle'), required: true, maxLength: 200, value: isRehearsal ? t('rehearsal') : '' },
      ],
    });
    if (!answer) return;
    const made = await desk.attempt(() => desk.callAll('POST', '/admin/events', { ...answer, rehearsal: isRehearsal, prizes: [] }));
    if (made) location.assign(`/lottery/admin?event=${answer.event_id}`);
  }

  load();
  return { element };
}
