// Rehearsal: simulated phones, run by this page through the public API, and wiped with one typed
// word.
//
// They register and hold sockets like real phones, and most of them submit details when they win.
// Only a rehearsal event offers this, so that no real draw has a simulated winner.

import { call, randomId } from "../shared/api.js";
import { connect } from "../shared/connection.js";
import { make } from "../shared/dom.js";

const PHONES_MAX = 300;
/** Concurrent registrations; a browser opens few connections to one server. */
const CONCURRENCY = 5;
/** One winner in this many submits no details. */
const NO_DETAILS_EVERY = 5;
const DETAILS_DELAY_MIN_MS = 1_000;
const DETAILS_DELAY_SPREAD_MS = 4_000;

export class Rehearsal {
  constructor(app) {
    this.app = app;
    this.phones = [];
    this.isAdding = false;
    this.failed = 0;
    this.heading = make('h2');
    this.help = make('p', { className: 'quiet' });
    const oninput = () => this.render();
    this.count = make('input', { id: 'phone-count', type: 'number', min: 1, max: PHONES_MAX, value: 50, oninput });
    this.countLabel = make('span');
    const button = (properties) => make('button', { type: 'button', ...properties });
    this.addButton = button({ id: 'add-phones', className: 'main', onclick: () => this.addPhones() });
    this.removeButton = button({ id: 'remove-phones', onclick: () => this.removePhones() });
    this.wipeButton = button({ id: 'wipe', className: 'danger', onclick: () => this.wipe() });
    this.progress = make('p', { id: 'rehearsal-progress', role: 'status' });
    this.element = make(
      'section',
      { className: 'card rehearsal' },
      this.heading,
      this.help,
      make('label', { className: 'inline' }, this.countLabel, this.count),
      make('div', { className: 'row' }, this.addButton, this.removeButton, this.wipeButton),
      this.progress,
    );
  }

  /** The number of phones to add. */
  wanted() {
    return Math.min(PHONES_MAX, Math.max(1, Number(this.count.value) || 1));
  }

  async addPhones() {
    this.isAdding = true;
    this.failed = 0;
    const target = this.phones.length + this.wanted();
    const worker = async () => {
      while (this.isAdding && this.phones.length + this.failed < target) await this.addPhone();
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
    this.isAdding = false;
    this.render();
  }

  async addPhone() {
    const phone = { number: null, token: null, connection: null, isLive: false };
    const { event, state } = this.app;
    this.phones.push(phone);
    try {
      const body = { event_id: event, request_id: randomId(), consent: true, entry_code: state.entry_code ?? undefined };
      // Without this browser's cookie, which would make all of them one participant.
      const data = await call('POST', '/register', { body, credentials: 'omit' });
      Object.assign(phone, { number: data.draw_number, token: data.session_token });
      phone.connection = connect({
        event,
        token: phone.token,
        onFrame: (frame) => this.respond(phone, frame),
        onStatus: ({ status }) => {
          phone.isLive = status === 'live' || status === 'polling';
          this.render();
        },
      });
    } catch {
      this.phones = this.phones.filter((other) => other !== phone);
      this.failed += 1;
    }
    this.render();
  }

  /** Submits a winner's details after a delay, unless this winner submits none. */
  respond(phone, { type, winners, draw_id }) {
    if (type !== 'winner_announced' || !winners.includes(phone.number) || phone.number % NO_DETAILS_EVERY === 0) return;
    const { t, event } = this.app;
    const body = {
      event_id: event,
      draw_id,
      name: `${t('simulated')} ${phone.number}`,
      phone: `010-0000-${String(phone.number % 10_000).padStart(4, '0')}`,
      address: t('simulated'),
      consent: true,
    };
    setTimeout(() => {
      phone.connection?.send({ type: 'im_here', draw_id });
      call('POST', '/winner-info', { body, token: phone.token }).catch(() => null);
    }, DETAILS_DELAY_MIN_MS + Math.random() * DETAILS_DELAY_SPREAD_MS);
  }

  removePhones() {
    this.isAdding = false;
    for (const phone of this.phones) phone.connection?.close();
    this.phones = [];
    this.render();
  }

  async wipe() {
    const { app } = this;
    const { t } = app;
    const word = t('rehearsalWord');
    if (!(await app.ask({ title: t('wipeTitle'), text: t('wipeText'), yes: t('wipe'), danger: true, word }))) return;
    this.removePhones();
    await app.attempt(() => app.call('POST', 'rehearsal/wipe', { word }), t('wiped'));
  }

  render() {
    const { t } = this.app;
    this.heading.textContent = t('rehearsalTitle');
    this.help.textContent = t('rehearsalHow');
    this.countLabel.textContent = t('phoneCount');
    this.addButton.textContent = t('addPhones', this.wanted());
    this.addButton.disabled = this.isAdding;
    this.removeButton.textContent = t('removePhones');
    this.removeButton.disabled = this.phones.length === 0;
    this.wipeButton.textContent = t('wipe');
    const live = this.phones.filter((phone) => phone.isLive).length;
    const progress = this.phones.length + this.failed === 0 ? '' : t('phonesAre', this.phones.length, live, this.failed);
    if (this.progress.textContent !== progress) this.progress.textContent = progress;
  }
}
