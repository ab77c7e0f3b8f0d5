// Dialogs: a question with its fields, and the help. One question is open at a time; Escape and the back of it mean no.

import { make } from "../shared/dom.js";

/**
 * Asks, and gives the fields' values by name, or null for no.
 * { title, text?, yes, danger?, word?, fields?: [{ name, label, type?, value?, options?: [[value, label]], required?, ...attributes }] }
 * `word`: what has to be typed before yes can be pressed.
 */
export function ask(t, { title, text, yes, danger = false, word = null, fields = [] }) {
  return new Promise((answer) => {
    const rows = fields.map(field);
    const typed = word && make('input', { autocomplete: 'off', spellcheck: false, 'data-word': word, 'aria-label': t('typeWord', word) });
    const agree = make('button', { className: danger ? 'main danger' : 'main', 'data-answer': 'yes', disabled: Boolean(word) }, yes ?? t('ok'));
    if (typed) typed.oninput = () => (agree.disabled = typed.value.trim() !== word);
    const form = make(
      'form',
      { method: 'dialog' },
      make('h2', {}, title),
      text && make('p', { className: 'told' }, text),
      rows.map((row) => row.element),
      typed && make('label', { className: 'field' }, make('span', {}, t('typeWord', word)), typed),
      make(
        'div',
        { className: 'row end' },
        make('button', { type: 'button', 'data-answer': 'no', onclick: () => dialog.close() }, t('no')),
        agree,
      ),
    );
    const dialog = make('dialog', { 'aria-label': title }, form);
    form.onsubmit = () => (dialog.returnValue = 'yes');
    dialog.onclose = () => {
      const values = Object.fromEntries(rows.map((row) => [row.name, row.value()]));
      dialog.remove();
      answer(dialog.returnValue === 'yes' ? values : null);
    };
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A labelled field and how its value is read. */
export function field({ name, label, type = 'text', value, options, hint, ...attributes }) {
  const properties = { name, 'data-field': name, ...attributes };
  if (type === 'checkbox') {
    const box = make('input', { ...properties, type, checked: Boolean(value) });
    return { name, value: () => box.checked, input: box, element: make('label', { className: 'field check' }, box, make('span', {}, label)) };
  }
  const input = options
    ? make('select', properties, options.map(([key, text]) => make('option', { value: key, selected: String(key) === String(value) }, text)))
    : make(type === 'textarea' ? 'textarea' : 'input', { ...(type === 'textarea' ? {} : { type }), ...properties, value: value ?? '' });
  const element = make('label', { className: 'field' }, make('span', {}, label), input, hint && make('small', { className: 'quiet' }, hint));
  const read = () => (type === 'number' ? (input.value === '' ? null : Number(input.value)) : input.value);
  return { name, value: read, input, element };
}

/** The keys, and how a draw goes. */
export function help(t) {
  const keys = ['Space', '↑ ↓', 'V', '1 – 7', '?', 'Esc'];
  const dialog = make(
    'dialog',
    { className: 'help', 'aria-label': t('helpTitle') },
    make('h2', {}, t('helpTitle')),
    make('p', {}, t('helpHow')),
    make('dl', {}, keys.flatMap((key, place) => [make('dt', {}, make('kbd', {}, key)), make('dd', {}, t(`helpKey${place}`))])),
    make('div', { className: 'row end' }, make('button', { type: 'button', className: 'main', onclick: () => dialog.close() }, t('close'))),
  );
  dialog.onclose = () => dialog.remove();
  document.body.append(dialog);
  dialog.showModal();
}
