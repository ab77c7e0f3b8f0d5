// Dialogs: a question with its fields, and the help. Escape means no.

import { make } from "../shared/dom.js";

/** Shows a modal dialog; resolves with its return value once it is closed. */
export function openDialog(dialog) {
  return new Promise((resolve) => {
    dialog.onclose = () => {
      dialog.remove();
      resolve(dialog.returnValue);
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Asks a question; resolves with the fields' values by name, or null for no. { title, text?, yes,
 * no?, danger?, word?, fields?: [{ name, label, type?, value?, options?: [[value, label]], hint?,
 * …attributes }] }; `word`: what has to be typed before yes can be pressed.
 */
export async function ask(t, { title, text, yes, no, danger = false, word = null, fields = [] }) {
  const rows = fields.map(field);
  const answer = { className: danger ? 'main danger' : 'main', 'data-answer': 'yes', disabled: Boolean(word) };
  const yesButton = make('button', answer, yes ?? t('ok'));
  const properties = { autocomplete: 'off', spellcheck: false, 'data-word': word, 'aria-label': t('typeWord', word) };
  const typed = word && make('input', properties);
  if (typed) typed.oninput = () => (yesButton.disabled = typed.value.trim() !== word);
  const form = make(
    'form',
    { method: 'dialog', onsubmit: () => void (dialog.returnValue = 'yes') },
    make('h2', {}, title),
    text && make('p', { className: 'text' }, text),
    rows.map((row) => row.element),
    typed && make('label', { className: 'field' }, make('span', {}, t('typeWord', word)), typed),
    make(
      'div',
      { className: 'row end' },
      make('button', { type: 'button', 'data-answer': 'no', onclick: () => dialog.close() }, no ?? t('no')),
      yesButton,
    ),
  );
  const dialog = make('dialog', { 'aria-label': title }, form);
  const isYes = (await openDialog(dialog)) === 'yes';
  return isYes ? Object.fromEntries(rows.map((row) => [row.name, row.value()])) : null;
}

/** Makes a labelled field: { name, input, element, value() }. */
export function field({ name, label, type = 'text', value, options, hint, chosen, ...attributes }) {
  if (type === 'picture') return pictureField(name, label, value, hint, chosen);
  const properties = { name, 'data-field': name, ...attributes };
  if (type === 'checkbox') {
    const box = make('input', { ...properties, type, checked: Boolean(value) });
    const element = make('label', { className: 'field check' }, box, make('span', {}, label));
    return { name, value: () => box.checked, input: box, element };
  }
  const input = makeInput(type, properties, value, options);
  const help = hint && make('small', { className: 'quiet' }, hint);
  const element = make('label', { className: 'field' }, make('span', {}, label), input, help);
  const read = () => (type === 'number' ? (input.value === '' ? null : Number(input.value)) : input.value);
  return { name, value: read, input, element };
}

/**
 * A field for a picture: what is there or chosen, and a button that removes it. Its value is
 * { file, isRemoved }. `value`: the path of the picture; `hint`: the label of the button; `chosen`: its
 * value in an earlier dialog.
 */
function pictureField(name, label, value, hint, chosen) {
  const input = make('input', { type: 'file', accept: 'image/*', 'data-field': name, 'aria-label': label });
  const preview = make('img', { className: 'preview', alt: '' });
  const remove = make('button', { type: 'button', className: 'small', 'data-remove': name }, hint);
  let isRemoved = Boolean(chosen?.isRemoved);
  let shown = null;
  const show = (source) => {
    if (shown?.startsWith('blob:')) URL.revokeObjectURL(shown);
    shown = source;
    preview.hidden = remove.hidden = !source;
    if (source) preview.src = source;
    else preview.removeAttribute('src');
  };
  // A picture that this browser cannot show may still be one that the server takes.
  preview.onerror = () => (preview.hidden = true);
  input.onchange = () => show(input.files[0] ? URL.createObjectURL(input.files[0]) : isRemoved ? null : (value ?? null));
  remove.onclick = () => {
    isRemoved = true;
    input.value = '';
    show(null);
  };
  if (chosen?.file) {
    const files = new DataTransfer();
    files.items.add(chosen.file);
    input.files = files.files;
  }
  input.onchange();
  const element = make('div', { className: 'field' }, make('span', {}, label), preview, make('div', { className: 'row' }, input, remove));
  return { name, input, element, value: () => ({ file: input.files[0] ?? null, isRemoved }) };
}

function makeInput(type, properties, value, options) {
  if (options) {
    const option = ([key, text]) => make('option', { value: key, selected: String(key) === String(value) }, text);
    return make('select', properties, options.map(option));
  }
  if (type === 'textarea') return make('textarea', { ...properties, value: value ?? '' });
  return make('input', { type, ...properties, value: value ?? '' });
}

/** Shows the keys, and how a draw is run. */
export function showHelp(t) {
  const keys = ['Space', '↑ ↓', 'V', '1 – 7', '?', 'Esc'];
  const close = () => dialog.close();
  const dialog = make(
    'dialog',
    { className: 'help', 'aria-label': t('helpTitle') },
    make('h2', {}, t('helpTitle')),
    make('p', {}, t('helpHow')),
    make('dl', {}, keys.flatMap((key, place) => [make('dt', {}, make('kbd', {}, key)), make('dd', {}, t(`helpKey${place}`))])),
    make('div', { className: 'row end' }, make('button', { type: 'button', className: 'main', onclick: close }, t('close'))),
  );
  openDialog(dialog);
}
