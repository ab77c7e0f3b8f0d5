// Form for a winner's details. What is typed stays in this page, so that a correction begins with
// it, and survives a change of language.

import { Refusal, call } from "../shared/api.js";
import { make } from "../shared/dom.js";
import { t } from "./winner-messages.js";

const NAME_CHARS_MAX = 100;
const draft = { name: '', phone: '', address: '' };
/** The phone number before the last keystroke. */
let phoneBefore = '';

/**
 * Makes the form for a win. `onSent(isFirst)`: the server has the details; isFirst is false when
 * they replace others.
 */
export function detailsForm({ event, token, win, privacy, onSent }) {
  const fields = {
    name: field('name', { autocomplete: 'name', enterKeyHint: 'next' }),
    phone: field('phone', {
      type: 'tel',
      inputMode: 'tel',
      autocomplete: 'tel',
      placeholder: '010-1234-5678',
      enterKeyHint: 'next',
    }),
  };
  if (win.needs_address) {
    fields.address = field('address', { autocomplete: 'street-address', rows: 3, maxLength: 300 }, 'textarea');
  }
  fields.phone.input.addEventListener('input', () => hyphenate(fields.phone.input));
  const consent = {
    input: make('input', { type: 'checkbox', id: 'details-consent', 'aria-describedby': 'details-consent-wrong' }),
    wrong: make('p', { id: 'details-consent-wrong', className: 'wrong', role: 'alert' }),
  };
  const wrong = make('p', { id: 'details-wrong', className: 'wrong', role: 'alert' });
  const button = make('button', { id: 'details-send', className: 'main huge', type: 'submit' }, t('send'));
  const send = async (submit) => {
    submit.preventDefault();
    wrong.textContent = '';
    if (!validate({ ...fields, consent })) return;
    button.disabled = true;
    button.textContent = t('sending');
    try {
      const body = { event_id: event, draw_id: win.draw_id, name: draft.name.trim(), phone: plainPhone(draft.phone), consent: true };
      if (fields.address) body.address = draft.address.trim();
      if (win.details_version) body.version = win.details_version;
      const { first, details_version: version } = await call('POST', '/winner-info', { body, token });
      win.details_version = version;
      onSent(first !== false);
    } catch (error) {
      // Staff, or another page of this phone, wrote them meanwhile: sent again, these replace those.
      if (error.code === 'DETAILS_OUTDATED') win.details_version = error.detail?.details_version;
      wrong.textContent = explainRefusal(error, fields);
    }
    button.disabled = false;
    button.textContent = t('send');
  };
  return make(
    'form',
    { id: 'details', noValidate: true, onsubmit: send },
    make('h2', {}, t('formTitle')),
    make('p', { className: 'quiet' }, t('formLead')),
    ...Object.values(fields).map((each) => each.box),
    privacyNotice(privacy, Boolean(fields.address)),
    make('label', { className: 'agree' }, consent.input, make('span', {}, t('consent'))),
    consent.wrong,
    wrong,
    button,
  );
}

function field(name, properties, tag = 'input') {
  const wrong = make('p', { id: `details-${name}-wrong`, className: 'wrong', role: 'alert' });
  const attributes = { id: `details-${name}`, name, value: draft[name], required: true, 'aria-describedby': wrong.id };
  const input = make(tag, { ...attributes, ...properties });
  input.addEventListener('input', () => {
    draft[name] = input.value;
    markWrong({ input, wrong }, '');
  });
  const help = name === 'address' ? make('p', { className: 'quiet' }, t('addressHelp')) : null;
  const label = make('label', { htmlFor: input.id }, t(name));
  return { input, wrong, box: make('div', { className: 'field' }, label, help, input, wrong) };
}

function privacyNotice(privacy, hasAddress) {
  const lines = [
    t('privacyWhat', hasAddress),
    t('privacyWhy', privacy?.purpose ?? null),
    privacy?.until && t('privacyUntil', privacy),
  ];
  return make(
    'section',
    { id: 'privacy', 'aria-labelledby': 'privacy-title' },
    make('h3', { id: 'privacy-title' }, t('privacyTitle')),
    make('ul', {}, lines.filter(Boolean).map((line) => make('li', { dir: 'auto' }, line))),
    make('p', { className: 'quiet' }, t('privacyRight')),
  );
}

/** Marks what is wrong and focuses the first of it; returns true if all is well. */
function validate({ name, phone, address, consent }) {
  const trimmed = draft.name.trim();
  const faults = [
    [name, !trimmed ? 'nameMissing' : [...trimmed].length > NAME_CHARS_MAX ? 'nameLong' : null],
    [phone, isPhone(draft.phone) ? null : 'phoneWrong'],
    [address, address && !draft.address.trim() ? 'addressMissing' : null],
    [consent, consent.input.checked ? null : 'consentMissing'],
  ].filter(([field]) => field);
  for (const [field, fault] of faults) markWrong(field, fault ? t(fault) : '');
  const first = faults.find(([, fault]) => fault);
  first?.[0].input.focus();
  return !first;
}

function markWrong({ input, wrong }, text) {
  wrong.textContent = text;
  input.setAttribute('aria-invalid', String(Boolean(text)));
}

/** Characters that a pasted number has and no screen shows. */
const INVISIBLE = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]/g;

/** A telephone number in plain characters, as the server keeps it. */
const plainPhone = (text) =>
  text
    .replace(INVISIBLE, '')
    .replace(/[０-９]/g, (digit) => String.fromCharCode(digit.charCodeAt(0) - 0xfee0))
    .replace(/[.．·・。/－ーㅡ−‐‑‒–—―]/g, '-')
    .replace(/＋/g, '+')
    .replace(/（/g, '(')
    .replace(/）/g, ')')
    .replace(/\s+/g, ' ')
    .replace(/^[- ]+|[- ]+$/g, '');

/** A number of 010 has 10 or 11 digits, from abroad too; any other 7 to 15. */
function isPhone(text) {
  const plain = plainPhone(text);
  if (plain.length > 20 || !/^\+?[0-9\-() ]+$/.test(plain)) return false;
  const digits = plain.replace(/\D/g, '');
  const national = plain.startsWith('+82') ? `0${digits.slice(2).replace(/^0+/, '')}` : digits;
  return national.startsWith('010') ? /^\d{10,11}$/.test(national) : /^\d{7,15}$/.test(digits);
}

/**
 * Hyphenates a Korean number while it is typed at its end. A foreign number, a deletion and a
 * correction in the middle are left alone.
 */
function hyphenate(input) {
  const plain = plainPhone(input.value);
  // A paste comes in the characters of its source.
  if (plain !== input.value && /[^0-9+\-() ]/.test(input.value)) {
    input.value = plain;
    draft.phone = plain;
  }
  const digits = input.value.replace(/[\s-]/g, '');
  const isAtEnd = input.selectionStart === input.value.length;
  const isShorter = input.value.length < phoneBefore.length;
  phoneBefore = input.value;
  if (!/^0\d*$/.test(digits) || !isAtEnd || isShorter) return;
  const area = digits.startsWith('02') ? 2 : 3;
  if (digits.length > area + 8) return;
  const rest = digits.slice(area);
  const middle = rest.length > 7 || /^01/.test(digits) ? 4 : 3;
  const parts = [digits.slice(0, area), rest.slice(0, middle), rest.slice(middle)];
  input.value = parts.filter(Boolean).join('-');
  draft.phone = input.value;
  phoneBefore = input.value;
}

function explainRefusal(error, fields) {
  if (!(error instanceof Refusal)) return t('failed');
  if (error.code === 'NOT_A_WINNER') return t('notWinner');
  if (error.code === 'ALREADY_HANDED_OVER') return t('handedOver');
  if (error.code === 'DETAILS_OUTDATED') return t('outdated');
  if (error.code === 'OFFLINE') return t('offline');
  const named = Object.entries({ name: 'nameMissing', phone: 'phoneWrong', address: 'addressMissing' });
  const [name, key] = named.find(([each]) => error.message.startsWith(`${each}:`)) ?? [];
  if (!name || !fields[name]) return t('failed');
  markWrong(fields[name], t(key));
  fields[name].input.focus();
  return '';
}
