// Import of prizes: pasted from a spreadsheet or read from a file, previewed, and taken as a whole
// or not at all.
//
// The server parses the text, whatever its encoding or format; the preview shows its answer.

import { make } from "../shared/dom.js";
import { openDialog } from "./dialog.js";

const BYTES_MAX = 2 << 20;
const TIMEOUT_MS = 60_000;
const COLUMNS = ['line', 'prizeName', 'grade', 'rank', 'quantity', 'mode', 'winnerCount'];

/** Opens the dialog; resolves with true if prizes were imported. */
export async function importPrizes(app) {
  const { t } = app;
  let source = null;
  let isDone = false;
  const text = make('textarea', { id: 'paste', rows: 7, placeholder: t('pasteHint'), 'aria-label': t('paste') });
  text.spellcheck = false;
  const file = make('input', { type: 'file', id: 'import-file', accept: '.csv,.tsv,.txt,.xlsx', 'aria-label': t('file') });
  const take = make('button', { type: 'button', id: 'take', className: 'main', disabled: true, onclick: importAll }, t('take'));
  const outcome = make('div', { id: 'import-outcome', 'aria-live': 'polite' });
  file.onchange = preview;
  text.oninput = () => (take.disabled = true);
  const dialog = make(
    'dialog',
    { className: 'wide', 'aria-label': t('import') },
    make('h2', {}, t('import')),
    make('p', { className: 'quiet' }, t('importHow')),
    text,
    make('label', { className: 'field' }, make('span', {}, t('file')), file),
    outcome,
    make(
      'div',
      { className: 'row end' },
      make('button', { type: 'button', onclick: () => dialog.close() }, t('close')),
      make('button', { type: 'button', id: 'preview', onclick: preview }, t('preview')),
      take,
    ),
  );

  const send = (query) =>
    app.call('POST', `prizes/import${query}`, source, { type: 'application/octet-stream', timeoutMs: TIMEOUT_MS });

  async function preview() {
    source = file.files[0] ? await file.files[0].arrayBuffer() : text.value;
    take.disabled = true;
    const size = source.byteLength ?? source.length;
    if (size === 0) return;
    if (size > BYTES_MAX) return void outcome.replaceChildren(make('p', { className: 'wrong' }, t('tooLarge')));
    try {
      const data = await send('?preview=1');
      outcome.replaceChildren(...previewParts(t, data));
      take.disabled = data.error_count > 0 || data.count === 0;
    } catch (refusal) {
      outcome.replaceChildren(make('p', { className: 'wrong' }, t('unreadable', refusal.message)));
    }
  }

  async function importAll() {
    if (!(await app.attempt(() => send(''), t('saved')))) return;
    isDone = true;
    dialog.close();
  }

  await openDialog(dialog);
  return isDone;
}

/** Prizes that the import would make, and the errors, row by row. */
function previewParts(t, { prizes, errors, error_count: errorCount, count }) {
  const summary = errorCount ? t('importWrong', errorCount) : t('importFine', count);
  const error = ({ row, column, why }) => make('li', {}, t('importError', row, column, why));
  const cells = (prize) => [
    String(prize.row),
    prize.prize_name,
    prize.prize_grade ?? '',
    String(prize.prize_rank),
    String(prize.quantity),
    prize.draw_mode ? t(`mode_${prize.draw_mode}`) : '',
    String(prize.winner_count ?? ''),
  ];
  const head = make('tr', {}, COLUMNS.map((key) => make('th', { scope: 'col' }, t(key))));
  const rows = prizes.map((prize) => make('tr', {}, cells(prize).map((text) => make('td', {}, text))));
  return [
    make('p', { className: errorCount ? 'wrong' : '' }, summary),
    errors.length ? make('ul', { className: 'wrong errors' }, errors.map(error)) : '',
    make('div', { className: 'scroll', tabIndex: 0 }, make('table', {}, make('thead', {}, head), make('tbody', {}, rows))),
  ];
}
