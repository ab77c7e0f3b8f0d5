// List of this server's events, and the dialogs that make one.

import { make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";

/** Bytes of an event's first prizes, at most: a body is bounded, and the others follow one by one. */
const FIRST_PRIZES_BYTES = 40_000;
/** What a rehearsal takes over from an event, and from its prizes. */
const SETTINGS = ['title', 'participants_max', 'groups', 'weights', 'consent_text', 'privacy_purpose', 'outside'];
const PRIZE_FIELDS = [
  'prize_name',
  'prize_rank',
  'prize_grade',
  'quantity',
  'draw_mode',
  'winner_count',
  'show_seconds',
  'prize_image',
  'repeat_winners',
  'group',
  'needs_address',
];

/** The named fields of an object that have a value. */
const pick = (object, names) => Object.fromEntries(names.filter((name) => object[name] !== null && object[name] !== undefined).map((name) => [name, object[name]]));

/** A name for addresses, which nobody has to invent. */
const freshId = (kind) => `${kind}-${Date.now().toString(36)}`;

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
      !event.rehearsal &&
        make('button', { type: 'button', className: 'small', 'data-rehearse': event.event_id, onclick: () => this.rehearse(event) }, t('rehearseEvent')),
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
          maxLength: 64,
          pattern: '[A-Za-z0-9_\\-]{1,64}',
          hint: t('eventIdHint'),
          value: '',
        },
        { name: 'title', label: t('eventTitle'), required: true, maxLength: 200, value: isRehearsal ? t('rehearsal') : '' },
      ],
    });
    if (!answer) return;
    const id = answer.event_id || freshId(isRehearsal ? 'rehearsal' : 'event');
    await this.open({ ...answer, event_id: id, rehearsal: isRehearsal, prizes: [] });
  }

  /** Makes a rehearsal of an event: its settings and prizes, with nobody in it. */
  async rehearse({ event_id: id }) {
    const { app } = this;
    const read = () => Promise.all([app.callAll('GET', `/admin/events/${id}`), app.callAll('GET', `/admin/${id}/prizes`)]);
    const found = await app.attempt(read);
    if (!found) return;
    const [event, { prizes }] = found;
    const wanted = prizes.map((prize) => pick(prize, PRIZE_FIELDS));
    const first = [];
    for (let bytes = 0; wanted.length > 0; first.push(wanted.shift())) {
      bytes += new Blob([JSON.stringify(wanted[0])]).size;
      if (bytes > FIRST_PRIZES_BYTES) break;
    }
    await this.open({ ...pick(event, SETTINGS), event_id: freshId('rehearsal'), rehearsal: true, prizes: first }, wanted);
  }

  /** Opens a new event and goes there; `more`: prizes to add to it. */
  async open(body, more = []) {
    const { app } = this;
    const made = await app.attempt(async () => {
      const opened = await app.callAll('POST', '/admin/events', body);
      for (const prize of more) await app.callAll('POST', `/admin/${body.event_id}/prizes`, prize);
      return opened;
    });
    if (made) location.assign(`/lottery/admin?event=${body.event_id}`);
  }
}
