// The proof page: fetches an event's proof, recomputes every draw and shows the outcome.
//
// What this browser heard before the winners were known is compared with the proof: its receipt,
// and the head in the address, which a stage showed.

import { keyOf } from "../phone/check.js";
import { call } from "../shared/api.js";
import { byId, digits, findEvent, make, setShown, setText } from "../shared/dom.js";
import { formatTime, translatePage } from "../shared/i18n.js";
import { storedReceipt } from "../shared/receipt.js";
import * as storage from "../shared/storage.js";
import { checkAll, partOf } from "./draws.js";
import { messages } from "./messages.js";
import { isThere, relayOf } from "./outside.js";
import { byOtherRule, compare, lateBy } from "./receipt.js";
import { isNative } from "./sha256.js";

/** The largest file, for all three verifiers. */
const FILE_BYTES_MAX = 64 << 20;
/** Notes of a signature that this page cannot check. */
const UNCHECKED = ['unchecked', 'otherChain'];
const PROOF_TIMEOUT_MS = 60_000;

/**
 * `state`: opening, checking, none, holds, fails, no-proof, no-event or bad-file. `unchecked`: the
 * draws whose signature this page could not check. `running`: the draw that goes on, or null.
 */
const EMPTY = { checked: [], problems: [], unchecked: 0, receipt: null, running: null, others: [] };
const model = { event: null, title: '', state: 'opening', file: null, ...EMPTY };
const shownHead = new URLSearchParams(location.hash.slice(1)).get('head');
const t = translatePage(messages, render);

function render() {
  document.body.dataset.state = model.state;
  const failed = model.checked.filter(({ mismatch }) => mismatch).length;
  const [title, text] = {
    opening: [t('opening'), ''],
    checking: [t('checking'), ''],
    none: [t('none'), t('noneText')],
    holds: [allHold(), [t('allHoldText'), t(model.receipt ? 'asHeard' : 'nothingHeard')].join(' ')],
    fails: [failed > 0 ? t('someFail', failed) : t('differs'), t('someFailText')],
    'no-proof': [t('noProof'), t('noProofText')],
    'no-event': [t('noProof'), t('noEventText')],
    'bad-file': [t('badFile'), t('badFileText')],
  }[model.state];
  setText('event-title', model.file ? t('ofFile', model.file) : model.title);
  setText('verdict-title', title);
  setText('verdict-text', text);
  document.body.toggleAttribute('data-unchecked', model.state === 'holds' && model.unchecked > 0);
  const notes = model.receipt && model.state !== 'opening' ? receiptNotes() : [];
  byId('receipt-notes').replaceChildren(...notes.map((note) => make('li', {}, note)));
  setText('hash-by', t(isNative ? 'hashBrowser' : 'hashOwn'));
  setShown('mine', model.checked.length > 0);
  byId('problems').replaceChildren(...model.problems.map(([code, ...values]) => make('li', { className: 'wrong' }, t(code, ...values))));
  setShown('receipt', Boolean(model.receipt));
  byId('draws').replaceChildren(...[...model.checked].reverse().map(drawItem));
}

/** The title says what is left to the reader: a signature that nobody checked could be made up. */
function allHold() {
  const all = t('allHold', model.checked.length);
  return model.unchecked > 0 ? `${all} · ${t('uncheckedTitle', model.unchecked)}` : all;
}

/** What this phone's receipt says, and is no contradiction. */
function receiptNotes() {
  const { running, receipt, others } = model;
  return [
    running !== null && t('running', running),
    !receipt.isOwn && t('notOwn'),
    others.length > 0 && t('otherRules', others.join(', ')),
  ].filter(Boolean);
}

function drawItem({ draw, mismatch, notes }) {
  const { draw_id: id, prize_name: name, picks, voided, reason, status } = draw;
  const verdict = mismatch ? 'fails' : 'holds';
  const numbers = (Array.isArray(picks) ? picks : []).map((number) => make('li', {}, digits(number)));
  const number = Number.parseInt(byId('mine-number').value, 10);
  const part = number > 0 && !mismatch ? partOf(draw, number) : null;
  const startedAt = draw.started_at ?? draw.started_at_ms;
  const time = startedAt && `${t('drawnAt')} ${formatTime(startedAt)}`;
  const facts = [t('from', draw.winner_count, draw.pool_size), time];
  return make(
    'li',
    { className: 'card draw', 'data-verdict': verdict, 'data-draw': id },
    make('p', { className: 'verdict' }, `${verdict === 'holds' ? '✓' : '✕'} ${t(verdict)}`),
    make('h3', { dir: 'auto' }, String(name)),
    mismatch && make('p', { className: 'wrong' }, t(mismatch.code, ...mismatch.values)),
    status === 'cancelled' && make('p', { className: 'wrong' }, t('cancelledDraw', reason)),
    draw.reset_at && make('p', { className: 'wrong' }, t('resetDraw', formatTime(draw.reset_at))),
    draw.redraw_of && make('p', { className: 'quiet' }, t('redrawOf', digits(draw.redraw_of.draw_number))),
    make('ul', { className: 'numbers', 'aria-label': t('winners') }, numbers),
    make('p', { className: 'quiet' }, facts.filter(Boolean).join(' · ')),
    part && make('p', { className: `part ${part}` }, t(part)),
    outsideItem(draw),
    heardItem(draw),
    draw.code && make('p', { className: 'promise' }, t('code', `${draw.code.slice(0, 4)} ${draw.code.slice(4)}`)),
    ...notes.map(([code, ...values]) => make('p', { className: 'quiet' }, t(code, ...values))),
    draw.version !== 2 && make('p', { className: 'quiet' }, t('firstVersion')),
    draw.outside === 'none' && make('p', { className: 'quiet' }, t('noOutside')),
    Array.isArray(voided) && voided.length > 0 && make('p', {}, `${t('voids')}: ${voided.map(voidText).join(', ')}`),
    inputsOf(draw),
  );
}

/** When this phone heard the lock that the draw has, and how long before its round. */
function heardItem(draw) {
  const { heads, heard, live } = model.receipt ?? {};
  const { draw_id: id, head } = draw;
  const at = heads?.[id] === head && heard?.[id];
  if (!at) return null;
  const lateMs = lateBy(draw, head, live?.[id]);
  const late = lateMs === null ? '' : t(lateMs <= 0 ? 'beforeRound' : 'afterRound', Math.abs(lateMs / 1000).toFixed(1));
  return make('p', { className: 'heard' }, `${t('heard', formatTime(at, 'medium'))} ${late}`);
}

/** The outside value: words, or a round with the page of a relay to compare. */
function outsideItem({ round, drand_chain: chain, fallback, outside_value: value }) {
  const isByRound = isThere(round) && !isThere(fallback);
  if (!value && !isByRound) return null;
  if (!isByRound) return make('p', {}, t('words', value));
  const link = !isThere(chain) && make('a', { href: relayOf(round), target: '_blank', rel: 'noreferrer' }, t('relay'));
  if (!value) return make('p', { className: 'round' }, `${t('neverCame', round)} `, link);
  // Every digit counts: who could change those that are not shown could try until a result suits.
  return make('p', { className: 'round' }, `${t('round', round)} `, make('code', {}, String(value)), ' ', link);
}

const voidText = ({ draw_number: number, reason }) => t('voidLine', digits(number), t('reasons')[reason] ?? reason);

/** The inputs of a draw, for people who recompute it themselves. */
function inputsOf({ entropy, commitment, excluded, head, seed, roster_root: root }) {
  const rangeText = (run) => {
    const [first, last] = [run].flat();
    return last === undefined || first === last ? digits(first) : `${digits(first)}–${digits(last)}`;
  };
  const left = Array.isArray(excluded) && excluded.length > 0 ? excluded.map(rangeText).join(', ') : t('nobody');
  const inputs = [['entropy', entropy], ['commitment', commitment], ['head', head], ['seed', seed], ['root', root], ['excluded', left]];
  const pairs = inputs.filter(([, value]) => value !== undefined);
  return make(
    'details',
    {},
    make('summary', {}, t('details')),
    make('dl', {}, pairs.flatMap(([key, value]) => [make('dt', {}, t(key)), make('dd', {}, String(value))])),
  );
}

/**
 * Checks a proof. `kept`: this phone's receipt, and `current`: the draw that goes on, both as they were
 * before the proof was asked for. What this phone heard later cannot be in it.
 */
async function verify(proof, { kept, current }) {
  Object.assign(model, { state: 'checking', ...EMPTY });
  render();
  const { checked, rest, locked } = await checkAll(proof);
  const receipt = kept?.event_session_id === proof.event_session_id ? kept : null;
  const problems = rest ? [[rest.code, ...rest.values]] : [];
  const isRunning = current !== null && !locked.has(current) && isThere(receipt?.heads[current]);
  const running = isRunning ? current : null;
  if (receipt) problems.push(...compare(receipt, proof, locked, running));
  if (shownHead && ![...locked.values()].some(({ head }) => head === shownHead)) problems.push(['otherShown']);
  const unchecked = checked.filter(({ notes }) => notes.some(([code]) => UNCHECKED.includes(code))).length;
  const others = receipt ? byOtherRule(receipt, locked) : [];
  Object.assign(model, { checked, problems, receipt, running, unchecked, others });
  const isWhole = problems.length === 0 && checked.every(({ mismatch }) => !mismatch);
  model.state = !isWhole ? 'fails' : checked.length === 0 ? 'none' : 'holds';
  render();
}

/** The receipt that this browser has for its ticket, as its file has it; null without one. */
function ownReceipt(event) {
  const ticket = storage.get(`ticket.${event}`);
  const kept = ticket?.receipt ? storedReceipt(event, ticket.session) : null;
  if (!kept) return null;
  // The key of a registration that this browser did not make is the server's word.
  const own = ticket.id ? keyOf(ticket.id) : null;
  const isOwn = own === ticket.receipt;
  const isOther = own !== null && !isOwn && !ticket.isExisting;
  const { anchor, outside, heads, heard, live, codes, paths } = kept;
  const receipt = isOther ? own : ticket.receipt;
  const heardOf = { anchor, outside, heads, heard, live, codes, paths };
  return structuredClone({ event_id: event, event_session_id: ticket.session, draw_number: ticket.number, receipt, ...heardOf, isOwn, isOther });
}

function saveReceipt() {
  const { isOwn, isOther, ...receipt } = model.receipt;
  const blob = new Blob([JSON.stringify(receipt)], { type: 'application/json' });
  const link = make('a', { href: URL.createObjectURL(blob), download: 'receipt.json' });
  link.click();
  URL.revokeObjectURL(link.href);
}

async function load() {
  model.file = null;
  model.state = 'opening';
  model.checked = [];
  render();
  try {
    const kept = ownReceipt(model.event);
    const { state_sync: state } = await call('GET', `/state?event_id=${model.event}`);
    const proof = await call('GET', `/proof?event_id=${model.event}`, { timeoutMs: PROOF_TIMEOUT_MS });
    await verify(proof, { kept, current: state.current?.draw_id ?? null });
  } catch ({ code }) {
    model.state = code === 'EVENT_NOT_FOUND' ? 'no-event' : 'no-proof';
    render();
  }
}

async function readFile(file) {
  model.file = file.name;
  try {
    if (file.size > FILE_BYTES_MAX) throw new Error('larger than any proof');
    const proof = JSON.parse(await file.text());
    const data = proof.data ?? proof;
    const isProof = Array.isArray(data.draws) && data.draws.every((draw) => Number.isInteger(draw?.draw_id));
    if (!isProof) throw new Error('no draws');
    await verify(data, { kept: ownReceipt(data.event_id), current: null });
  } catch {
    model.checked = [];
    model.state = 'bad-file';
    render();
  }
}

async function start() {
  byId('mine').addEventListener('submit', (submit) => submit.preventDefault());
  byId('mine-number').addEventListener('input', render);
  byId('again').addEventListener('click', load);
  byId('receipt').addEventListener('click', saveReceipt);
  byId('file').addEventListener('change', ({ target }) => {
    if (target.files.length > 0) readFile(target.files[0]);
    target.value = '';
  });
  render();
  model.event = await findEvent();
  if (!model.event) {
    model.state = 'no-event';
    return render();
  }
  byId('download').href = `/api/luckydraw/proof?event_id=${model.event}`;
  const ownNumber = storage.get(`ticket.${model.event}`)?.number;
  if (ownNumber) byId('mine-number').value = ownNumber;
  const showTitle = ({ title }) => {
    model.title = title;
    render();
  };
  call('GET', `/results?event_id=${model.event}`).then(showTitle, () => {});
  await load();
}

start();
