// Importing prizes: pasted from a spreadsheet or from a file, looked at first, and taken whole or not at all.
//
// The server reads the text, whatever its encoding or format; what is shown here is what it would make of it.

import { make } from "../shared/dom.js";

const BYTES_MAX = 2 << 20;

/** Opens the dialog; gives whether anything was imported. */
export function importPrizes(desk) {
  const { t } = desk;
  return new Promise((answer) => {
    let source = null;
    let isDone = false;
    const pasted = make('textarea', { id: 'paste', rows: 7, placeholder: t('pasteHint'), 'aria-label': t('paste'), spellcheck: false });
    const file = make('input', { type: 'file', id: 'import-file', accept: '.csv,.tsv,.txt,.xlsx', 'aria-label': t('file') });
    const look = make('button', { type: 'button', id: 'preview' }, t('preview'));
    const take = make('button', { type: 'button', id: 'take', className: 'main', disabled: true }, t('take'));
    const outcome = make('div', { id: 'import-outcome', 'aria-live': 'polite' });
    const dialog = make(
      'dialog',
      { className: 'wide', 'aria-label': t('import') },
      make('h2', {}, t('import')),
      make('p', { className: 'quiet' }, t('importHow')),
      pasted,
      make('label', { className: 'field' }, make('span', {}, t('file')), file),
      outcome,
      make('div', { className: 'row end' }, make('button', { type: 'button', onclick: () => dialog.close() }, t('close')), look, take),
    );

    const send = (query) => desk.call('POST', `prizes/import${query}`, source, { type: 'application/octet-stream', patience: 60_000 });

    async function preview() {
      source = file.files[0] ? await file.files[0].arrayBuffer() : pasted.value;
      take.disabled = true;
      if ((source.byteLength ?? source.length) === 0) return;
      if ((source.byteLength ?? source.length) > BYTES_MAX) return void outcome.replaceChildren(make('p', { className: 'wrong' }, t('tooLarge')));
      try {
        const seen = await send('?preview=1');
        outcome.replaceChildren(...told(t, seen));
        take.disabled = seen.error_count > 0 || seen.count === 0;
      } catch (refusal) {
        outcome.replaceChildren(make('p', { className: 'wrong' }, t('unreadable', refusal.message)));
      }
    }

    look.onclick = preview;
    file.onchange = preview;
    pasted.oninput = () => (take.disabled = true);
    take.onclick = async () => {
      const made = await desk.attempt(() => send(''), t('saved'));
      if (!made) return;
      isDone = true;
      dialog.close();
    };
    dialog.onclose = () => {
      dialog.remove();
      answer(isDone);
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What would be made, and what is wrong, row by row. */
function told(t, { prizes, errors, error_count: wrong, count }) {
  const row = (prize) => [
    String(prize.row),
    prize.prize_name,
    prize.prize_grade ?? '',
    String(prize.prize_rank),
    String(prize.quantity),
    prize.draw_mode ? t(`mode_${prize.draw_mode}`) : '',
    String(prize.winner_count ?? ''),
  ];
  const heads = ['line', 'prizeName', 'grade', 'rank', 'quantity', 'mode', 'winnerCount'].map((key) => make('th', { scope: 'col' }, t(key)));
  const cells = (prize) => make('tr', {}, row(prize).map((text) => make('td', {}, text)));
  return [
    make('p', { className: wrong ? 'wrong' : '' }, wrong ? t('importWrong', wrong) : t('importFine', count)),
    errors.length ? make('ul', { className: 'wrong errors' }, errors.map(({ row: line, column, why }) => make('li', {}, t('importError', line, column, why)))) : '',
    make('div', { className: 'scroll', tabIndex: 0 }, make('table', {}, make('thead', {}, make('tr', {}, heads)), make('tbody', {}, prizes.map(cells)))),
  ];
}
