// Participants tab: found by number, with the marks that the staff set on them.

import { digits, make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";

const PAGE_SIZE = 100;
const COLUMNS = ['number', 'registeredAt', 'eligible', 'group', 'weight'];

export class Tab {
  constructor(app) {
    this.app = app;
    this.participants = [];
    this.total = 0;
    this.after = 0;
    this.heading = make('h2');
    this.search = make('input', { id: 'find-number', type: 'number', min: 1, inputMode: 'numeric', onchange: () => this.find() });
    this.searchLabel = make('span');
    this.head = make('tr');
    this.body = make('tbody');
    this.more = make('button', { type: 'button', onclick: () => this.load(this.participants.at(-1)?.draw_number ?? 0, true) });
    const search = make('label', { className: 'inline' }, this.searchLabel, this.search);
    const table = make('table', { id: 'people' }, make('thead', {}, this.head), this.body);
    this.element = make(
      'section',
      { className: 'card' },
      make('div', { className: 'row between' }, this.heading, search),
      make('div', { className: 'scroll' }, table),
      make('div', { className: 'row' }, this.more),
    );
    this.translate();
  }

  opened() {
    this.load(this.after, false);
  }

  find() {
    this.load(Math.max(0, Number(this.search.value) - 1), false);
  }

  async load(after, isMore) {
    const data = await this.app.attempt(() => this.app.call('GET', `participants?limit=${PAGE_SIZE}&after=${after}`));
    if (!data) return;
    this.total = data.total_count;
    if (!isMore) this.after = after;
    this.participants = isMore ? [...this.participants, ...data.participants] : data.participants;
    this.translate();
  }

  translate() {
    const { t } = this.app;
    this.heading.textContent = t('peopleCount', this.total);
    this.searchLabel.textContent = t('findNumber');
    this.more.textContent = t('more');
    this.more.hidden = this.participants.length === 0 || this.participants.at(-1).draw_number >= this.total;
    this.head.replaceChildren(...COLUMNS.map((key) => make('th', { scope: 'col' }, t(key))));
    const rows = this.participants.map((participant) => this.row(participant));
    const empty = make('tr', {}, make('td', { colSpan: COLUMNS.length, className: 'quiet' }, t('nobody')));
    this.body.replaceChildren(...(rows.length ? rows : [empty]));
  }

  row({ draw_number: number, created_at: createdAt, eligible = true, group = null, weight = 1 }) {
    const { t } = this.app;
    const name = digits(number);
    /** A cell whose input sets a mark; `read` takes its value from the input. */
    const cell = (label, mark, read, properties) => {
      const onchange = ({ target }) => this.setMark(number, { [mark]: read(target) });
      return make('td', {}, make('input', { ...properties, 'aria-label': t(label, name), onchange }));
    };
    return make(
      'tr',
      { 'data-number': number },
      make('th', { scope: 'row' }, name),
      make('td', { className: 'time' }, formatTime(createdAt)),
      cell('eligibleOf', 'eligible', (input) => input.checked, { type: 'checkbox', checked: eligible }),
      cell('groupOf', 'group', (input) => input.value, { value: group ?? '', maxLength: 200 }),
      cell('weightOf', 'weight', (input) => Number(input.value), { type: 'number', min: 1, max: 65535, value: weight }),
    );
  }

  async setMark(number, change) {
    const { app } = this;
    const changed = await app.attempt(() => app.call('PATCH', `participants/${number}`, change), app.t('saved'));
    const replace = (participant) => (participant.draw_number === number ? changed : participant);
    if (changed) this.participants = this.participants.map(replace);
    this.showMarks(this.participants.find((participant) => participant.draw_number === number));
  }

  /**
   * Shows a participant's marks in the row that is there: building rows anew would drop what is
   * being typed into another cell meanwhile.
   */
  showMarks(participant) {
    const row = participant && this.body.querySelector(`[data-number="${participant.draw_number}"]`);
    const shown = participant && this.row(participant).querySelectorAll('input');
    row?.querySelectorAll('input').forEach((input, place) => {
      if (input === document.activeElement) return;
      Object.assign(input, { value: shown[place].value, checked: shown[place].checked });
    });
  }
}
