// The winners and how they can be reached: masked, until somebody asks on record; and the lists to take away.

import { moment } from "../shared/i18n.js";
import { digits, make } from "../shared/dom.js";

export function build(desk) {
  const { t } = desk;
  let winners = [];
  let isWhole = false;
  let timer = null;

  const heading = make('h2');
  const unmask = make('button', { type: 'button', id: 'unmask', onclick: reveal });
  const files = ['winners', 'participants', 'draws'].map((what) =>
    make('button', { type: 'button', 'data-export': `csv-${what}`, onclick: () => take(`export.csv?what=${what}`, `${what}.csv`, what === 'winners') }),
  );
  const sheet = make('button', { type: 'button', 'data-export': 'xlsx', onclick: () => take('export.xlsx', 'luckydraw.xlsx', true) });
  const head = make('tr');
  const body = make('tbody');
  const element = make(
    'section',
    { className: 'card' },
    make('div', { className: 'row between' }, heading, unmask),
    make('div', { className: 'row exports' }, sheet, files),
    make('div', { className: 'scroll', tabIndex: 0 }, make('table', { id: 'winners' }, make('thead', {}, head), body)),
  );

  async function load() {
    const data = await desk.attempt(() => desk.call('GET', `winners?all=1${isWhole ? '&unmask=1' : ''}`));
    if (!data) return;
    winners = data.winners;
    render();
  }

  function refresh() {
    if (!element.isConnected) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      // What was whole is masked again: to see it anew is to ask anew.
      isWhole = false;
      load();
    }, 300);
  }

  async function reveal() {
    if (isWhole) {
      isWhole = false;
      return load();
    }
    const isSure = await desk.ask({ title: t('unmaskTitle'), text: t('unmaskText'), yes: t('unmask'), danger: true });
    if (!isSure) return;
    isWhole = true;
    await load();
  }

  /** A list as a file. Whole numbers are asked for by themselves, since that too is on record. */
  async function take(path, name, hasDetails) {
    let isUnmasked = false;
    if (hasDetails) {
      const answer = await desk.ask({
        title: t('exportTitle'),
        text: t('exportText'),
        yes: t('export'),
        fields: [{ name: 'whole', label: t('exportWhole'), type: 'checkbox', value: false }],
      });
      if (!answer) return;
      isUnmasked = answer.whole;
    }
    const query = isUnmasked ? `${path.includes('?') ? '&' : '?'}unmask=1` : '';
    const blob = await desk.attempt(() => desk.file(path + query), t('exported', name));
    if (!blob) return;
    const address = URL.createObjectURL(blob);
    make('a', { href: address, download: `${desk.event}-${name}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }

  function render() {
    heading.textContent = t('winnersCount', winners.length);
    unmask.textContent = isWhole ? t('mask') : t('unmask');
    sheet.textContent = 'Excel (XLSX)';
    for (const button of files) button.textContent = `CSV · ${t(`file_${button.dataset.export.slice(4)}`)}`;
    for (const button of [sheet, ...files]) button.hidden = desk.rank !== 'admin';
    const keys = ['number', 'prize', 'name', 'phone', ...(isWhole ? ['address'] : []), 'state'];
    head.replaceChildren(...keys.map((key) => make('th', { scope: 'col' }, t(`col_${key}`))));
    body.replaceChildren(...(winners.length ? winners.map(row) : [make('tr', {}, make('td', { colSpan: 6, className: 'quiet' }, t('noWinners')))]));
  }

  function row(winner) {
    const state = winner.voided
      ? t('seat_voided')
      : winner.handed_over_at
        ? t('handedOver', moment(winner.handed_over_at), winner.desk ?? '')
        : winner.arrived_at
          ? t('seat_arrived')
          : winner.submitted_at
            ? t('seat_details')
            : t('seat_nothing');
    const undo =
      winner.handed_over_at && desk.rank === 'admin'
        ? make('button', { type: 'button', className: 'small', onclick: () => giveBack(winner) }, t('undoHandOver'))
        : '';
    return make(
      'tr',
      { className: winner.voided ? 'voided' : '', 'data-winner': winner.draw_number },
      make('th', { scope: 'row' }, digits(winner.draw_number)),
      make('td', {}, winner.prize_name),
      make('td', {}, winner.name ? (isWhole ? winner.name : masked(winner.name)) : '–'),
      make('td', {}, winner.phone ?? '–'),
      isWhole && make('td', {}, winner.address ?? ''),
      make('td', {}, state, ' ', undo),
    );
  }

  async function giveBack({ draw_id, draw_number }) {
    const isSure = await desk.ask({ title: t('undoHandOver'), text: digits(draw_number), yes: t('undoHandOver'), danger: true });
    if (!isSure) return;
    await desk.attempt(() => desk.call('POST', 'claims/undo', { draw_id, draw_number }), t('saved'));
    await load();
  }

  desk.listeners.add((frame) => {
    if (['winner_info_received', 'winner_updated', 'winner_announced', 'draw_voided', 'event_reset'].includes(frame.type)) refresh();
  });
  render();
  return { element, reworded: render, opened: load };
}

/** A name that its owner recognises: the first and the last letter stay. */
function masked(name) {
  const letters = [...name];
  const last = letters.length > 2 ? letters.at(-1) : '';
  return letters[0] + '*'.repeat(Math.max(1, letters.length - (last ? 2 : 1))) + last;
}
