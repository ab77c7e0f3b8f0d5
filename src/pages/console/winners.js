// Winners tab: their details, masked until an operator unmasks them on record, and the lists to
// download.

import { digits, make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";

const LOAD_AFTER_MS = 300;
const URL_KEPT_MS = 10_000;
const LISTS = ['winners', 'participants', 'draws'];
const FRAMES = ['winner_info_received', 'winner_updated', 'winner_announced', 'draw_voided', 'event_reset'];

export class Tab {
  constructor(app) {
    this.app = app;
    this.winners = [];
    this.isUnmasked = false;
    this.loadTimer = null;
    this.heading = make('h2');
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
    this.element = make(
      'section',
      { className: 'card' },
      make('div', { className: 'row between' }, this.heading, this.unmaskButton),
      make('div', { className: 'row exports' }, this.xlsxButton, this.csvButtons),
      make('div', { className: 'scroll', tabIndex: 0 }, table),
    );
    app.listeners.add(({ type }) => {
      if (FRAMES.includes(type)) this.refresh();
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
    const query = isUnmasked ? `${path.includes('?') ? '&' : '?'}unmask=1` : '';
    const blob = await app.attempt(() => app.fetchFile(path + query), t('exported', name));
    if (!blob) return;
    const href = URL.createObjectURL(blob);
    make('a', { href, download: `${app.event}-${name}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), URL_KEPT_MS);
  }

  translate() {
    const { t, role } = this.app;
    this.heading.textContent = t('winnersCount', this.winners.length);
    this.unmaskButton.textContent = t(this.isUnmasked ? 'mask' : 'unmask');
    this.csvButtons.forEach((button, index) => (button.textContent = `CSV · ${t(`file_${LISTS[index]}`)}`));
    for (const button of [this.xlsxButton, ...this.csvButtons]) button.hidden = role !== 'admin';
    const columns = ['number', 'prize', 'name', 'phone', ...(this.isUnmasked ? ['address'] : []), 'state'];
    this.head.replaceChildren(...columns.map((key) => make('th', { scope: 'col' }, t(`col_${key}`))));
    const rows = this.winners.map((winner) => this.row(winner));
    const empty = make('tr', {}, make('td', { colSpan: 6, className: 'quiet' }, t('noWinners')));
    this.body.replaceChildren(...(rows.length ? rows : [empty]));
  }

  row(winner) {
    const { t, role } = this.app;
    const canUndo = winner.handed_over_at && role === 'admin';
    const onclick = () => this.undoHandOver(winner);
    const undo = canUndo ? make('button', { type: 'button', className: 'small', onclick }, t('undoHandOver')) : '';
    const name = winner.name && !this.isUnmasked ? mask(winner.name) : winner.name;
    return make(
      'tr',
      { className: winner.voided ? 'voided' : '', 'data-winner': winner.draw_number },
      make('th', { scope: 'row' }, digits(winner.draw_number)),
      make('td', {}, winner.prize_name),
      make('td', {}, name || '–'),
      make('td', {}, winner.phone ?? '–'),
      this.isUnmasked && make('td', {}, winner.address ?? ''),
      make('td', {}, this.stateOf(winner), ' ', undo),
    );
  }

  stateOf({ voided, handed_over_at: handedOverAt, desk, arrived_at: arrivedAt, submitted_at: submittedAt }) {
    const { t } = this.app;
    if (voided) return t('seat_voided');
    if (handedOverAt) return t('handedOver', formatTime(handedOverAt), desk ?? '');
    if (arrivedAt) return t('seat_arrived');
    return t(submittedAt ? 'seat_details' : 'seat_nothing');
  }

  async undoHandOver({ draw_id, draw_number }) {
    const { app } = this;
    const { t } = app;
    if (!(await app.ask({ title: t('undoHandOver'), text: digits(draw_number), yes: t('undoHandOver'), danger: true }))) return;
    await app.attempt(() => app.call('POST', 'claims/undo', { draw_id, draw_number }), t('saved'));
    await this.load();
  }
}

/** Masks a name so that its owner recognises it: the first and the last letter stay. */
function mask(name) {
  const letters = [...name];
  const last = letters.length > 2 ? letters.at(-1) : '';
  return letters[0] + '*'.repeat(Math.max(1, letters.length - (last ? 2 : 1))) + last;
}
