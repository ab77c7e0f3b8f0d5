// The proof page: fetches an event's proof, recomputes every draw and shows the outcome.
//
// A commitment that this browser received at the start of a draw is compared with the proof: the
// result is the one that was fixed then.

import { call } from "../shared/api.js";
import { storedCommitment } from "../shared/commitments.js";
import { byId, digits, findEvent, make, setShown, setText } from "../shared/dom.js";
import { formatTime, translatePage } from "../shared/i18n.js";
import * as storage from "../shared/storage.js";
import { checkAll, partOf } from "./draws.js";
import { messages } from "./messages.js";
import { isNative } from "./sha256.js";

const FILE_BYTES_MAX = 64 << 20;
const PROOF_TIMEOUT_MS = 60_000;

/** `state`: opening, checking, none, holds, fails, no-proof, no-event or bad-file. */
const model = { event: null, session: null, title: '', state: 'opening', checked: [], file: null };
const t = translatePage(messages, render);

function render() {
  document.body.dataset.state = model.state;
  const failed = model.checked.filter((checked) => !holds(checked)).length;
  const [title, text] = {
    opening: [t('opening'), ''],
    checking: [t('checking'), ''],
    none: [t('none'), t('noneText')],
    holds: [t('allHold', model.checked.length), t('allHoldText')],
    fails: [t('someFail', failed), t('someFailText')],
    'no-proof': [t('noProof'), t('noProofText')],
    'no-event': [t('noProof'), t('noEventText')],
    'bad-file': [t('badFile'), t('badFileText')],
  }[model.state];
  setText('event-title', model.file ? t('ofFile', model.file) : model.title);
  setText('verdict-title', title);
  setText('verdict-text', text);
  setText('hash-by', t(isNative ? 'hashBrowser' : 'hashOwn'));
  setShown('mine', model.checked.length > 0);
  byId('draws').replaceChildren(...[...model.checked].reverse().map(drawItem));
}

function drawItem({ draw, mismatch }) {
  const { draw_id: id, prize_name: name, picks, voided, reason, status } = draw;
  const verdict = holds({ draw, mismatch }) ? 'holds' : 'fails';
  const commitment = commitmentStatus(draw);
  const numbers = (Array.isArray(picks) ? picks : []).map((number) => make('li', {}, digits(number)));
  const number = Number.parseInt(byId('mine-number').value, 10);
  const part = number > 0 && !mismatch ? partOf(draw, number) : null;
  const time = draw.started_at && `${t('drawnAt')} ${formatTime(draw.started_at)}`;
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
    commitment && make('p', { className: commitment === 'different' ? 'wrong' : 'promise' }, t(commitment)),
    Array.isArray(voided) && voided.length > 0 && make('p', {}, `${t('voids')}: ${voided.map(voidText).join(', ')}`),
    inputsOf(draw),
  );
}

const voidText = ({ draw_number: number, reason }) => t('voidLine', digits(number), t('reasons')[reason] ?? reason);

/** The inputs of a draw, for people who recompute it themselves. */
function inputsOf({ entropy, commitment, excluded }) {
  const rangeText = ([first, last]) => (first === last ? digits(first) : `${digits(first)}–${digits(last)}`);
  const left = Array.isArray(excluded) && excluded.length > 0 ? excluded.map(rangeText).join(', ') : t('nobody');
  const pairs = [['entropy', entropy], ['commitment', commitment], ['excluded', left]];
  return make(
    'details',
    {},
    make('summary', {}, t('details')),
    make('dl', {}, pairs.flatMap(([key, value]) => [make('dt', {}, t(key)), make('dd', {}, String(value))])),
  );
}

/**
 * Compares the commitment that this browser received at the start: 'same', 'different', or null
 * without one.
 */
function commitmentStatus({ draw_id: id, commitment }) {
  const received = model.file ? null : storedCommitment(model.event, model.session, id);
  return received ? (received === commitment ? 'same' : 'different') : null;
}

const holds = ({ mismatch, draw }) => !mismatch && commitmentStatus(draw) !== 'different';

async function verify(draws) {
  model.state = 'checking';
  model.checked = [];
  render();
  model.checked = await checkAll(draws);
  model.state = draws.length === 0 ? 'none' : model.checked.every(holds) ? 'holds' : 'fails';
  render();
}

async function load() {
  model.file = null;
  model.state = 'opening';
  model.checked = [];
  render();
  try {
    const proof = await call('GET', `/proof?event_id=${model.event}`, { timeoutMs: PROOF_TIMEOUT_MS });
    model.session = proof.event_session_id;
    await verify(proof.draws);
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
    const { draws } = proof.data ?? proof;
    if (!Array.isArray(draws) || !draws.every((draw) => Number.isInteger(draw?.draw_id))) throw new Error('no draws');
    await verify(draws);
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
