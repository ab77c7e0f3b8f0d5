// Audit tab: everything that changed this event, who did it and when, the newest first. A line is a
// sentence; its tooltip holds the fact as it is stored.

import { make } from "../shared/dom.js";
import { formatTime, isolate, translator } from "../shared/i18n.js";
import { messages } from "./audit-messages.js";

const tAudit = translator(messages);
const asStored = (kind, summary) => `${kind} ${JSON.stringify(summary)}`;

export class Tab {
  constructor(app) {
    this.app = app;
    this.entries = [];
    /** Roles of the links that were made, by id. */
    this.roles = {};
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
    const { links } = (await this.app.attempt(() => this.app.call('GET', 'links'))) ?? { links: [] };
    this.roles = Object.fromEntries(links.map((link) => [link.link_id, link.role]));
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
    this.head.replaceChildren(...['at', 'actor', 'what'].map((key) => make('th', { scope: 'col' }, t(`col_${key}`))));
    this.body.replaceChildren(...this.entries.map((entry) => this.row(entry)));
  }

  row({ at, actor, kind, summary }) {
    const title = asStored(kind, summary);
    return make(
      'tr',
      { 'data-kind': kind },
      make('td', { className: 'time' }, formatTime(at)),
      make('td', {}, this.actorName(actor)),
      make('td', { className: 'long', title }, this.sentence(kind, summary)),
    );
  }

  /** The name of who did it: an operator by the link that opened the page. */
  actorName(actor) {
    const id = actor.match(/^link:(\d+)$/)?.[1];
    if (!id) return messages.ko[`actor_${actor}`] ? tAudit(`actor_${actor}`) : actor;
    const role = this.roles[id];
    return tAudit('actor_link', id, role && tAudit(`role_${role}`));
  }

  sentence(kind, summary) {
    if (!messages.ko[kind]) return asStored(kind, summary);
    const role = summary.link?.role;
    const told = kind === 'seat_voided' ? { ...summary, reason: this.app.t(`reason_${summary.reason}`) } : summary;
    return isolate(tAudit(kind, told, role && tAudit(`role_${role}`)));
  }
}
