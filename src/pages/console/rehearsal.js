// Rehearsal: simulated phones, which the server plays over its own listener, and the wipe,
// confirmed by one typed word.
//
// Only a rehearsal event offers this, so that no real draw has a simulated winner.

import { make } from "../shared/dom.js";

/** The most phones that a server ever simulates; one with few connections says its own bound. */
const PHONES_MAX = 5_000;
const COUNT_EVERY_MS = 1_000;
const NONE = { wanted: 0, registered: 0, connected: 0, refused: 0 };

export class Rehearsal {
  constructor(app) {
    this.app = app;
    this.figures = NONE;
    this.isLoaded = false;
    this.timer = null;
    this.heading = make('h2');
    this.help = make('p', { className: 'quiet' });
    const oninput = () => this.render();
    this.count = make('input', { id: 'phone-count', type: 'number', min: 1, max: PHONES_MAX, value: 50, oninput });
    this.countLabel = make('span');
    const button = (properties) => make('button', { type: 'button', ...properties });
    this.addButton = button({ id: 'add-phones', className: 'main', onclick: () => this.set(this.wanted()) });
    this.removeButton = button({ id: 'remove-phones', onclick: () => this.set(0) });
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

  /** The number of phones that there are to be. */
  wanted() {
    return Math.min(PHONES_MAX, Math.max(1, Math.trunc(Number(this.count.value)) || 1));
  }

  async set(count) {
    await this.app.attempt(async () => this.apply(await this.app.call('POST', 'rehearsal/phones', { count })));
  }

  /** Asks how many there are, now and as long as there are any. */
  async load() {
    clearTimeout(this.timer);
    this.timer = null;
    if (document.visibilityState === 'hidden') this.plan();
    else await this.app.call('GET', 'rehearsal/phones').then((figures) => this.apply(figures), () => this.plan());
  }

  apply(figures) {
    this.figures = figures;
    this.plan();
    this.render();
  }

  plan() {
    clearTimeout(this.timer);
    const { wanted, registered } = this.figures;
    this.timer = wanted + registered > 0 ? setTimeout(() => this.load(), COUNT_EVERY_MS) : null;
  }

  async wipe() {
    const { app } = this;
    const { t } = app;
    const word = t('rehearsalWord');
    if (!(await app.ask({ title: t('wipeTitle'), text: t('wipeText'), yes: t('wipe'), danger: true, word }))) return;
    await this.set(0);
    await app.attempt(() => app.call('POST', 'rehearsal/wipe', { word }), t('wiped'));
  }

  render() {
    const { t, state } = this.app;
    if (state.rehearsal && !this.isLoaded) {
      this.isLoaded = true;
      this.load();
    }
    const { wanted, registered, connected, refused } = this.figures;
    this.heading.textContent = t('rehearsalTitle');
    this.help.textContent = t('rehearsalHow');
    this.countLabel.textContent = t('phoneCount');
    this.addButton.textContent = t('addPhones', this.wanted());
    this.removeButton.textContent = t('removePhones');
    this.removeButton.disabled = wanted === 0;
    this.wipeButton.textContent = t('wipe');
    const progress = wanted + registered === 0 ? '' : t('phonesAre', registered, connected, refused);
    if (this.progress.textContent !== progress) this.progress.textContent = progress;
  }
}
