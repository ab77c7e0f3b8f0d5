// The form by which a winner says who gets the prize. What is typed lives in this page alone until it is sent, and survives a change of language.

import { Refusal, call } from "../shared/api.js";
import { make } from "../shared/dom.js";
import { w } from "./winner-messages.js";

const NAME_CHARS_MAX = 100;
const draft = { name: '', phone: '', address: '' };

/** The form for a win. `sent(isFirst)`: the server has it; isFirst false: it had others before and keeps them. */
export function detailsForm({ event, token, win, privacy, sent }) {
  const fields = {
    name: field('name', { autocomplete: 'name', enterKeyHint: 'next' }),
    phone: field('phone', { type: 'tel', inputMode: 'tel', autocomplete: 'tel', placeholder: '010-1234-5678', maxLength: 20, enterKeyHint: 'next' }),
  };
  if (win.needs_address) fields.address = field('address', { autocomplete: 'street-address', rows: 3, maxLength: 300 }, 'textarea');
  const { input: phone } = fields.phone;
  phone.addEventListener('input', () => helpPhone(phone));
  const agree = make('input', { type: 'checkbox', id: 'details-consent', 'aria-describedby': 'details-consent-wrong' });
  const consentWrong = make('p', { id: 'details-consent-wrong', className: 'wrong', role: 'alert' });
  const wrong = make('p', { id: 'details-wrong', className: 'wrong', role: 'alert' });
  const button = make('button', { id: 'details-send', className: 'main huge', type: 'submit' }, w('send'));
  const form = make(
    'form',
    { id: 'details', noValidate: true },
    make('h2', {}, w('formTitle')),
    make('p', { className: 'quiet' }, w('formLead')),
    ...Object.values(fields).map((each) => each.box),
    privacyBox(privacy, Boolean(fields.address)),
    make('label', { className: 'agree' }, agree, make('span', {}, w('consent'))),
    consentWrong,
    wrong,
    button,
  );
  form.addEventListener('submit', async (submit) => {
    submit.preventDefault();
    wrong.textContent = '';
    if (!check(fields, agree, consentWrong)) return;
    button.disabled = true;
    button.textContent = w('sending');
    try {
      const body = { event_id: event, draw_id: win.draw_id, name: draft.name.trim(), phone: draft.phone.trim(), consent: true };
      if (fields.address) body.address = draft.address.trim();
      const { first } = await call('POST', '/winner-info', { body, token });
      sent(first !== false);
    } catch (error) {
      wrong.textContent = refusedText(error, fields);
    }
    button.disabled = false;
    button.textContent = w('send');
  });
  return form;
}

function field(name, properties, tag = 'input') {
  const wrong = make('p', { id: `details-${name}-wrong`, className: 'wrong', role: 'alert' });
  const input = make(tag, { id: `details-${name}`, name, value: draft[name], required: true, ...properties, 'aria-describedby': wrong.id });
  input.addEventListener('input', () => {
    draft[name] = input.value;
    complain({ input, wrong }, '');
  });
  const help = name === 'address' ? make('p', { className: 'quiet' }, w('addressHelp')) : null;
  return { input, wrong, box: make('div', { className: 'field' }, make('label', { htmlFor: input.id }, w(name)), help, input, wrong) };
}

function privacyBox(privacy, hasAddress) {
  const lines = [w('privacyWhat', hasAddress), w('privacyWhy', privacy?.purpose ?? null), privacy?.until && w('privacyUntil', privacy)];
  return make(
    'section',
    { id: 'privacy', 'aria-labelledby': 'privacy-title' },
    make('h3', { id: 'privacy-title' }, w('privacyTitle')),
    make('ul', {}, lines.filter(Boolean).map((line) => make('li', { dir: 'auto' }, line))),
    make('p', { className: 'quiet' }, w('privacyRight')),
  );
}

/** Marks what is missing, moves to the first of it, and says whether all is there. */
function check({ name, phone, address }, agree, consentWrong) {
  const faults = [
    [name, !draft.name.trim() ? 'nameMissing' : [...draft.name.trim()].length > NAME_CHARS_MAX ? 'nameLong' : null],
    [phone, isPhone(draft.phone) ? null : 'phoneWrong'],
    [address, address && !draft.address.trim() ? 'addressMissing' : null],
    [{ input: agree, wrong: consentWrong }, agree.checked ? null : 'consentMissing'],
  ].filter(([part]) => part);
  for (const [part, fault] of faults) complain(part, fault ? w(fault) : '');
  const first = faults.find(([, fault]) => fault);
  first?.[0].input.focus();
  return !first;
}

function complain({ input, wrong }, text) {
  wrong.textContent = text;
  input.setAttribute('aria-invalid', String(Boolean(text)));
}

const isPhone = (text) => /^[0-9+\-() ]{7,20}$/.test(text.trim()) && text.replace(/\D/g, '').length >= 7;

/** Puts the hyphens into a Korean number while it is typed at its end; another country's, or a correction in the middle, is left alone. */
function helpPhone(input) {
  const digits = input.value.replace(/[\s-]/g, '');
  const isAtEnd = input.selectionStart === input.value.length;
  const last = draft.phoneBefore ?? '';
  draft.phoneBefore = input.value;
  if (!/^0\d*$/.test(digits) || !isAtEnd || input.value.length < last.length) return;
  const area = digits.startsWith('02') ? 2 : 3;
  const rest = digits.slice(area);
  const middle = rest.length > 7 || /^01/.test(digits) ? 4 : 3;
  const parts = [digits.slice(0, area), rest.slice(0, middle), rest.slice(middle)];
  if (digits.length > area + 8) return;
  input.value = parts.filter(Boolean).join('-');
  draft.phone = input.value;
  draft.phoneBefore = input.value;
}

function refusedText(error, fields) {
  if (!(error instanceof Refusal)) return w('failed');
  if (error.code === 'NOT_A_WINNER') return w('notWinner');
  if (error.code === 'OFFLINE') return w('offline');
  const named = Object.entries({ name: 'nameMissing', phone: 'phoneWrong', address: 'addressMissing' });
  const [name, key] = named.find(([each]) => error.message.startsWith(`${each}:`)) ?? [];
  if (!name || !fields[name]) return w('failed');
  complain(fields[name], w(key));
  fields[name].input.focus();
  return '';
}
