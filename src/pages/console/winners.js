// Winners tab: their details, masked until an operator unmasks them on record, and the lists to
// download. An operator can correct details while they are unmasked.

import { digits, make } from "../shared/dom.js";
import { formatTime, isolate, language } from "../shared/i18n.js";
import { saveFile } from "./download.js";

const LOAD_AFTER_MS = 300;
const LISTS = ['winners', 'participants', 'draws'];
/** A console that polls gets states and none of the others. */
const FRAMES = ['state_sync', 'winner_info_received', 'winner_updated', 'winner_announced', 'draw_voided', 'event_reset'];
const COLUMNS = ['number', 'prize', 'name', 'phone', 'address', 'state'];
/** Value of a winner that a column sorts by. */
const SORT_BY = {
  number: (winner) => winner.draw_number,
  prize: (winner) => winner.prize_name,
  name: (winner) => winner.name ?? '',
  phone: (winner) => winner.phone ?? '',
  address: (winner) => winner.address ?? '',
  state: (winner) => stateOf(winner),
};

export class Tab {
  constructor(app) {
    this.app = app;
    this.winners = [];
    this.isUnmasked = false;
    this.loadTimer = null;
    /** The column that the list is sorted by; null is the order of drawing. */
    this.sort = { column: null, isDescending: false };
    this.heading = make('h2');
    this.search = make('input', { id: 'find-winner', type: 'search', autocomplete: 'off', oninput: () => this.renderRows() });
    this.searchLabel = make('span');
    this.unmaskButton = make('button', { type: 'button', id: 'unmask', onclick: () => this.toggleMask() });
    this.csvButtons = LISTS.map((list) => {
      const onclick = () => this.download(`export.csv?what=${list}`, `${list}.csv`, list === 'winners');
      return make('button', { type: 'button', 'data-export': `csv-${list}`, onclick });
    });
    const download = () => this.download('export.xlsx', 'luckydraw.xlsx', true);
    this.xlsxButton = make('button', { type: 'button', 'data-export': 'xlsx', onclick: download }, 'Excel (XLSX)');
    this.head = make('tr');
    this.body = make('tbody');
    const table = make('table', { id: 'winners' }, make('thead', {}, this.head), this.body);
    const search = make('label', { className: 'inline' }, this.searchLabel, this.search);
    this.element = make(
      'section',
      { className: 'card' },
      make('div', { className: 'row between' }, this.heading, search, this.unmaskButton),
      make('div', { className: 'row exports' }, this.xlsxButton, this.csvButtons),
      make('div', { className: 'scroll', tabIndex: 0 }, table),
    );
    app.listeners.add(({ type }) => {
      // A state may tell nothing new, and each view of unmasked details is on record.
      if (FRAMES.includes(type) && !(type === 'state_sync' && this.isUnmasked)) this.refresh();
    });
    this.translate();
  }

  opened() {
    this.load();
  }

  async load() {
    const data = await this.app.attempt(() => this.app.call('GET', `winners?all=1${this.isUnmasked ? '&unmask=1' : ''}`));
    if (!data) return;
    this.winners = data.winners;
    this.translate();
  }

  refresh() {
    if (!this.element.isConnected) return;
    clearTimeout(this.loadTimer);
    this.loadTimer = setTimeout(() => {
      // Each view of unmasked details is on record, so a refresh masks them again.
      this.isUnmasked = false;
      this.load();
    }, LOAD_AFTER_MS);
  }

  async toggleMask() {
    const { t } = this.app;
    const question = { title: t('unmaskTitle'), text: t('unmaskText'), yes: t('unmask'), danger: true };
    if (!this.isUnmasked && !(await this.app.ask(question))) return;
    this.isUnmasked = !this.isUnmasked;
    await this.load();
  }

  /** Downloads a list. Unmasked details are asked for separately, since that too is on record. */
  async download(path, name, hasDetails) {
    const { app } = this;
    const { t } = app;
    let isUnmasked = false;
    if (hasDetails) {
      const fields = [{ name: 'whole', label: t('exportWhole'), type: 'checkbox', value: false }];
      const answer = await app.ask({ title: t('exportTitle'), text: t('exportText'), yes: t('export'), fields });
      if (!answer) return;
      isUnmasked = answer.whole;
    }
    // Times are local to this browser: the event has no zone, and the server's is a data center's.
    const offset = -new Date().getTimezoneOffset();
    const words = `${path.includes('?') ? '&' : '?'}lang=${language()}&utc_offset_min=${offset}`;
    const whole = path + words + (isUnmasked ? '&unmask=1' : '');
    const blob = await app.attempt(() => app.fetchFile(whole), t('exported', name));
    if (blob) saveFile(blob, `${app.event}-${name}`);
  }

  translate() {
    const { t, role } = this.app;
    this.heading.textContent = t('winnersCount', this.winners.filter((winner) => !winner.voided).length);
    this.searchLabel.textContent = t('findWinner');
    this.unmaskButton.textContent = t(this.isUnmasked ? 'mask' : 'unmask');
    this.csvButtons.forEach((button, index) => (button.textContent = `CSV · ${t(`file_${LISTS[index]}`)}`));
    for (const button of [this.xlsxButton, ...this.csvButtons]) button.hidden = role !== 'admin';
    this.columns = COLUMNS.filter((column) => column !== 'address' || this.isUnmasked);
    this.head.replaceChildren(...this.columns.map((column) => this.headingCell(column)));
    this.renderRows();
  }

  /** A heading that sorts by its column, then the other way round, then not. */
  headingCell(column) {
    const isSorted = this.sort.column === column;
    const direction = this.sort.isDescending ? 'descending' : 'ascending';
    const onclick = () => {
      this.sort = !isSorted ? { column, isDescending: false } : { column: this.sort.isDescending ? null : column, isDescending: true };
      this.translate();
      this.head.querySelector(`[data-sort="${column}"]`).focus();
    };
    const sign = isSorted ? (this.sort.isDescending ? ' ▾' : ' ▴') : '';
    const label = this.app.t(`col_${column}`) + sign;
    const button = make('button', { type: 'button', className: 'small plain', 'data-sort': column, onclick }, label);
    return make('th', { scope: 'col', 'aria-sort': isSorted ? direction : 'none' }, button);
  }

  renderRows() {
    const rows = this.shown().map((winner) => this.row(winner));
    const text = this.app.t(this.winners.length ? 'noMatch' : 'noWinners');
    const empty = make('tr', {}, make('td', { colSpan: this.columns.length, className: 'quiet' }, text));
    this.body.replaceChildren(...(rows.length ? rows : [empty]));
  }

  /** The winners that the search matches, in the order of the sorted column. */
  shown() {
    const words = this.search.value.trim().toLowerCase();
    const texts = ({ draw_number: number, prize_name: prize, prize_grade: grade, name, phone }) =>
      [String(number), digits(number), prize, grade, name, phone, phone?.replace(/\D/g, '')].filter(Boolean);
    const matches = (winner) => texts(winner).some((text) => text.toLowerCase().includes(words));
    const shown = words ? this.winners.filter(matches) : [...this.winners];
    const by = SORT_BY[this.sort.column];
    if (!by) return shown;
    const compare = (a, b) => (typeof a === 'number' ? a - b : a.localeCompare(b, language(), { numeric: true }));
    const sign = this.sort.isDescending ? -1 : 1;
    return shown.sort((a, b) => sign * compare(by(a), by(b)));
  }

  row(winner) {
    const name = winner.name && !this.isUnmasked ? mask(winner.name) : winner.name;
    const prize = winner.prize_grade ? `${winner.prize_grade} · ${isolate(winner.prize_name)}` : winner.prize_name;
    return make(
      'tr',
      { className: winner.voided ? 'voided' : '', 'data-winner': winner.draw_number },
      make('th', { scope: 'row' }, digits(winner.draw_number)),
      make('td', { dir: 'auto', className: 'long' }, prize),
      make('td', { dir: 'auto', className: 'long' }, name || '–'),
      make('td', {}, winner.phone ?? '–'),
      this.isUnmasked && make('td', { dir: 'auto', className: 'long' }, winner.address ?? ''),
      make('td', {}, this.stateText(winner), ' ', this.rowButtons(winner)),
    );
  }

  rowButtons(winner) {
    const { t, role } = this.app;
    const button = (key, onclick) => make('button', { type: 'button', className: 'small', 'data-action': key, onclick }, t(key));
    return [
      this.isUnmasked && !winner.voided && button('correctDetails', () => this.correct(winner)),
      winner.handed_over_at && role === 'admin' && button('undoHandOver', () => this.undoHandOver(winner)),
    ];
  }

  stateText(winner) {
    const { t } = this.app;
    const state = stateOf(winner);
    return state === 'claimed' ? t('handedOver', formatTime(winner.handed_over_at), winner.desk ?? '') : t(`seat_${state}`);
  }

  /** Writes or corrects a winner's details, which leaves a line in the audit trail. */
  async correct({ draw_id, draw_number, name, phone, address, details_version: version }) {
    const { app } = this;
    const { t } = app;
    const fields = [
      { name: 'name', label: t('col_name'), value: name ?? '', required: true, maxLength: 100 },
      { name: 'phone', label: t('col_phone'), type: 'tel', value: phone ?? '', required: true },
      { name: 'address', label: t('col_address'), value: address ?? '', maxLength: 300 },
      { name: 'consent', label: t('correctConsent'), type: 'checkbox', required: true, value: false },
    ];
    const answer = await app.ask({ title: t('correctTitle', digits(draw_number)), text: t('correctText'), yes: t('save'), fields });
    if (!answer) return;
    const body = { ...answer, address: answer.address.trim() || null, version };
    await app.attempt(() => app.call('PUT', `winners/${draw_id}/${draw_number}`, body), t('saved'));
    this.refresh();
  }

  async undoHandOver({ draw_id, draw_number }) {
    const { app } = this;
    const { t } = app;
    if (!(await app.ask({ title: t('undoHandOver'), text: digits(draw_number), yes: t('undoHandOver'), danger: true }))) return;
    await app.attempt(() => app.call('POST', 'claims/undo', { draw_id, draw_number }), t('saved'));
    await this.load();
  }
}

/** The last step of a winner. */
function stateOf({ voided, handed_over_at: handedOverAt, arrived_at: arrivedAt, submitted_at: submittedAt }) {
  if (voided) return 'voided';
  if (handedOverAt) return 'claimed';
  if (arrivedAt) return 'arrived';
  return submittedAt ? 'details' : 'nothing';
}

/** Masks a name so that its owner recognises it: the first and the last letter stay. */
function mask(name) {
  const letters = [...name];
  const last = letters.length > 2 ? letters.at(-1) : '';
  return letters[0] + '*'.repeat(Math.max(1, letters.length - (last ? 2 : 1))) + last;
}
