// The proof page: fetches an event's proof, recomputes every draw and shows the outcome.
//
// What this browser heard before the winners were known is compared with the proof: its receipt,
// and the head in the address, which a stage showed.

import { call } from "../shared/api.js";
import { byId, digits, findEvent, make, setShown, setText } from "../shared/dom.js";
import { formatTime, translatePage } from "../shared/i18n.js";
import { storedReceipt } from "../shared/receipt.js";
import * as storage from "../shared/storage.js";
import { checkAll, partOf } from "./draws.js";
import { messages } from "./messages.js";
import { relayOf } from "./outside.js";
import { compare } from "./receipt.js";
import { isNative } from "./sha256.js";

const FILE_BYTES_MAX = 64 << 20;
const PROOF_TIMEOUT_MS = 60_000;

/** `state`: opening, checking, none, holds, fails, no-proof, no-event or bad-file. */
const model = { event: null, title: '', state: 'opening', checked: [], problems: [], receipt: null, file: null };
const shownHead = new URLSearchParams(location.hash.slice(1)).get('head');
const t = translatePage(messages, render);

function render() {
  document.body.dataset.state = model.state;
  const failed = model.checked.filter(({ mismatch }) => mismatch).length;
  const [title, text] = {
    opening: [t('opening'), ''],
    checking: [t('checking'), ''],
    none: [t('none'), t('noneText')],
    holds: [t('allHold', model.checked.length), t('allHoldText')],
    fails: [failed > 0 ? t('someFail', failed) : t('differs'), t('someFailText')],
    'no-proof': [t('noProof'), t('noProofText')],
    'no-event': [t('noProof'), t('noEventText')],
    'bad-file': [t('badFile'), t('badFileText')],
  }[model.state];
  setText('event-title', model.file ? t('ofFile', model.file) : model.title);
  setText('verdict-title', title);
  setText('verdict-text', text);
  setText('hash-by', t(isNative ? 'hashBrowser' : 'hashOwn'));
  setShown('mine', model.checked.length > 0);
  byId('problems').replaceChildren(...model.problems.map(([code, ...values]) => make('li', { className: 'wrong' }, t(code, ...values))));
  setShown('receipt', Boolean(model.receipt));
  byId('draws').replaceChildren(...[...model.checked].reverse().map(drawItem));
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

/** When this phone heard the lock that the draw has, which it keeps until the proof is out. */
function heardItem({ draw_id: id, head }) {
  const { heads, heard } = model.receipt ?? {};
  const at = heads?.[id] === head && heard?.[id];
  return at ? make('p', { className: 'heard' }, t('heard', formatTime(at, 'medium'))) : null;
}

/** The outside value: words, or a round with the page of a relay to compare. */
function outsideItem({ round, drand_chain: chain, fallback, outside_value: value }) {
  if (!value) return null;
  if (round === undefined || fallback !== undefined) return make('p', {}, t('words', value));
  const link = chain === undefined && make('a', { href: relayOf(round), target: '_blank', rel: 'noreferrer' }, t('relay'));
  return make('p', { className: 'round' }, `${t('round', round, `${value.slice(0, 4)} ${value.slice(4, 8)}`)} `, link);
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

async function verify(proof) {
  model.state = 'checking';
  Object.assign(model, { checked: [], problems: [], receipt: null });
  render();
  const { checked, rest, locked } = await checkAll(proof);
  const problems = rest ? [[rest.code, ...rest.values]] : [];
  const receipt = receiptFor(proof);
  if (receipt && !model.file) await withoutCurrent(receipt);
  if (receipt) problems.push(...compare(receipt, proof, locked));
  if (shownHead && ![...locked.values()].some(({ head }) => head === shownHead)) problems.push(['otherShown']);
  Object.assign(model, { checked, problems, receipt });
  const isWhole = problems.length === 0 && checked.every(({ mismatch }) => !mismatch);
  model.state = !isWhole ? 'fails' : checked.length === 0 ? 'none' : 'holds';
  render();
}

/** The receipt of this browser for the proof's session, as its file has it; null without one. */
function receiptFor({ event_id: event, event_session_id: session }) {
  const kept = storedReceipt(event, session);
  const ticket = storage.get(`ticket.${event}`);
  const isOurs = ticket?.session === session && ticket.receipt;
  if (!kept || !isOurs) return null;
  const { anchor, heads, heard, codes, paths } = kept;
  const own = { draw_number: ticket.number, receipt: ticket.receipt, anchor, heads: { ...heads }, heard, codes, paths };
  return { event_id: event, event_session_id: session, ...own };
}

/** Leaves out the draw that is going on: its proof comes with its announcement. */
async function withoutCurrent(receipt) {
  const { state_sync: state } = await call('GET', `/state?event_id=${model.event}`).catch(() => ({}));
  const current = state?.current?.draw_id;
  if (current) {
    delete receipt.heads[current];
    receipt.paths = receipt.paths.filter(({ draw_id: id }) => id !== current);
  }
}

function saveReceipt() {
  const blob = new Blob([JSON.stringify(model.receipt)], { type: 'application/json' });
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
    const proof = await call('GET', `/proof?event_id=${model.event}`, { timeoutMs: PROOF_TIMEOUT_MS });
    await verify(proof);
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
    await verify(data);
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
