// Import of prizes: pasted from a spreadsheet or read from a file, previewed, and taken as a whole
// or not at all.
//
// The server parses the text, whatever its encoding or format; the preview shows its answer: the
// prizes, the rows and columns that are none, and each problem with its cell and its remedy.

import { make } from "../shared/dom.js";
import { language, translator } from "../shared/i18n.js";
import { openDialog } from "./dialog.js";
import { saveFile } from "./download.js";
import { messages } from "./import-messages.js";

const BYTES_MAX = 2 << 20;
const TIMEOUT_MS = 60_000;
/** Labels of the fields, by their names on the wire. */
const FIELDS = {
  prize_name: 'prizeName',
  prize_grade: 'grade',
  prize_rank: 'rank',
  quantity: 'quantity',
  draw_mode: 'mode',
  winner_count: 'winnerCount',
  show_seconds: 'showLength',
  repeat_winners: 'repeatWinners',
  needs_address: 'needsAddress',
  group: 'group',
};

const tImport = translator(messages);

/** Opens the dialog; resolves with true if prizes were imported. */
export async function importPrizes(app) {
  const { t } = app;
  let source = null;
  let isDone = false;
  const hint = { placeholder: tImport('pasteHint'), 'aria-label': tImport('paste') };
  const text = make('textarea', { id: 'paste', rows: 7, ...hint });
  Object.assign(text, { spellcheck: false, autofocus: true });
  const accept = '.csv,.tsv,.txt,.xlsx';
  const file = make('input', { type: 'file', id: 'import-file', accept, 'aria-label': tImport('file') });
  const onclick = () => importAll();
  const take = make('button', { type: 'button', id: 'take', className: 'main', disabled: true, onclick }, tImport('take'));
  const outcome = make('div', { id: 'import-outcome', 'aria-live': 'polite' });
  file.onchange = preview;
  text.oninput = () => {
    file.value = '';
    take.disabled = true;
  };
  const dialog = make(
    'dialog',
    { className: 'wide', 'aria-label': t('import') },
    make('h2', {}, t('import')),
    make('p', { className: 'quiet' }, tImport('importHow'), make('br'), tImport('headings')),
    make('p', { className: 'row' }, make('button', { type: 'button', id: 'template', className: 'small', onclick: template }, tImport('template'))),
    text,
    make('label', { className: 'field' }, make('span', {}, tImport('file')), file),
    outcome,
    make(
      'div',
      { className: 'row end' },
      make('button', { type: 'button', onclick: () => dialog.close() }, t('close')),
      make('button', { type: 'button', id: 'preview', onclick: preview }, tImport('preview')),
      take,
    ),
  );

  const send = (query) =>
    app.call('POST', `prizes/import${query}`, source, { type: 'application/octet-stream', timeoutMs: TIMEOUT_MS });

  async function template() {
    const path = `prizes/template.xlsx?lang=${language()}`;
    const blob = await app.attempt(() => app.fetchFile(path), tImport('templateSaved'));
    if (blob) saveFile(blob, language() === 'ko' ? '경품.xlsx' : 'prizes.xlsx');
  }

  async function preview() {
    source = file.files[0] ? await file.files[0].arrayBuffer() : text.value;
    take.disabled = true;
    const size = source.byteLength ?? source.length;
    if (size === 0) return;
    if (size > BYTES_MAX) return void outcome.replaceChildren(make('p', { className: 'wrong' }, tImport('tooLarge')));
    try {
      const data = await send('?preview=1');
      outcome.replaceChildren(...previewParts(t, data));
      take.disabled = data.error_count > 0 || data.count === 0;
    } catch (refusal) {
      const problems = refusal.detail?.errors?.map((error) => problemText(t, error)) ?? [t('refused', refusal.message)];
      outcome.replaceChildren(make('ul', { className: 'wrong errors' }, problems.map((problem) => make('li', {}, problem))));
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

/** A problem with its place; one of the whole file has none. */
function problemText(t, { row, column, cell, code, value, limit, why }) {
  const text = messages.ko[`problem_${code}`] ? tImport(`problem_${code}`, value, limit) : why;
  if (row === null) return text;
  const label = FIELDS[column] && t(FIELDS[column]);
  return `${tImport('at', row, cell, label)}: ${text}`;
}

/** Prizes that the import would make, what it leaves out, and the problems, row by row. */
function previewParts(t, data) {
  const { prizes, errors, error_count: errorCount, count, sheet } = data;
  const summary = errorCount ? tImport('importWrong', errorCount) : tImport('importFine', count, sheet);
  const columns = Object.keys(FIELDS).filter((name) => prizes.some((prize) => prize[name]));
  const head = make('tr', {}, [tImport('row'), ...columns.map((name) => t(FIELDS[name]))].map((label) => make('th', { scope: 'col' }, label)));
  const cells = (prize) => [String(prize.row), ...columns.map((name) => cellText(t, name, prize[name]))];
  const rows = prizes.map((prize) => make('tr', {}, cells(prize).map((text) => make('td', { dir: 'auto' }, text))));
  return [
    make('p', { className: errorCount ? 'wrong' : '' }, summary),
    errors.length ? make('ul', { className: 'wrong errors' }, errors.map((error) => make('li', {}, problemText(t, error)))) : '',
    ...leftOutParts(data),
    rows.length
      ? make('div', { className: 'scroll', tabIndex: 0 }, make('table', {}, make('thead', {}, head), make('tbody', {}, rows)))
      : '',
  ];
}

function cellText(t, name, value) {
  if (value === null || value === undefined || value === false) return '';
  if (name === 'draw_mode') return t(`mode_${value}`);
  return value === true ? '✓' : String(value);
}

function leftOutParts({ rows_left_out: rows, columns_left_out: columns }) {
  const lines = [
    ...columns.map((heading) => tImport('columnLeftOut', heading)),
    ...rows.map(({ row, kind, text }) => tImport(`row_${kind}`, row, text)),
  ];
  if (lines.length === 0) return [];
  const list = make('ul', { className: 'quiet' }, lines.map((line) => make('li', {}, line)));
  return [make('details', { id: 'left-out', open: true }, make('summary', {}, tImport('leftOut')), list)];
}
