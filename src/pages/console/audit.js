// Audit tab: everything that changed this event, who did it and when, the newest first.

import { make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";

export class Tab {
  constructor(app) {
    this.app = app;
    this.entries = [];
    this.before = null;
    this.heading = make('h2');
    this.help = make('p', { className: 'quiet' });
    this.head = make('tr');
    this.body = make('tbody');
    this.more = make('button', { type: 'button', onclick: () => this.load(true) });
    this.reload = make('button', { type: 'button', onclick: () => this.load(false) });
    const table = make('table', { id: 'audit' }, make('thead', {}, this.head), this.body);
    this.element = make(
      'section',
      { className: 'card' },
      make('div', { className: 'row between' }, this.heading, this.reload),
      this.help,
      make('div', { className: 'scroll', tabIndex: 0 }, table),
      make('div', { className: 'row' }, this.more),
    );
    this.translate();
  }

  opened() {
    this.load(false);
  }

  async load(isMore) {
    const query = isMore && this.before ? `?before=${this.before}` : '';
    const data = await this.app.attempt(() => this.app.call('GET', `audit${query}`));
    if (!data) return;
    this.entries = isMore ? [...this.entries, ...data.lines] : data.lines;
    this.before = data.lines.length ? data.next_before : null;
    this.translate();
  }

  translate() {
    const { t } = this.app;
    this.heading.textContent = t('audit');
    this.help.textContent = t('auditHow');
    this.more.textContent = t('more');
    this.reload.textContent = t('again');
    this.more.hidden = this.before === null || this.before <= 1;
    this.head.replaceChildren(...['at', 'actor', 'what', 'summary'].map((key) => make('th', { scope: 'col' }, t(`col_${key}`))));
    this.body.replaceChildren(...this.entries.map(row));
  }
}

const row = ({ at, actor, kind, summary }) =>
  make(
    'tr',
    {},
    make('td', {}, formatTime(at)),
    make('td', {}, actor),
    make('td', {}, kind),
    make('td', {}, make('code', {}, JSON.stringify(summary))),
  );
