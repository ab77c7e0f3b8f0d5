// The proof page: fetches an event's proof, computes every draw again, and shows what it found.
//
// What this browser heard before a draw, its commitment, is held against the proof: it came at a time when nobody could know the winners.

import { call } from "../shared/api.js";
import { moment, speak } from "../shared/i18n.js";
import { recall } from "../shared/storage.js";
import { byId, digits, eventOfPage, make, say, show } from "../shared/dom.js";
import { promiseOf } from "../shared/commitments.js";
import { checkAll, partOf } from "./draws.js";
import { hashedBy } from "./sha256.js";
import { words } from "./messages.js";

const FILE_BYTES_MAX = 64 << 20;

/** `state`: opening, checking, none, holds, fails, no-proof, no-event or bad-file. */
const model = { event: null, session: null, title: '', state: 'opening', checked: [], file: null };
const t = speak(words, render);

function render() {
  document.body.dataset.state = model.state;
  const failed = model.checked.filter(({ mismatch, draw }) => mismatch || promise(draw) === 'broken').length;
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
  say('event-title', model.file ? t('ofFile', model.file) : model.title);
  say('verdict-title', title);
  say('verdict-text', text);
  say('hash-by', t(hashedBy === 'browser' ? 'hashBrowser' : 'hashOwn'));
  show('mine', model.checked.length > 0);
  byId('draws').replaceChildren(...[...model.checked].reverse().map(drawItem));
}

function drawItem({ draw, mismatch }) {
  const { draw_id: id, prize_name: name, picks, voided, reason, status } = draw;
  const isWell = !mismatch && promise(draw) !== 'broken';
  const numbers = (Array.isArray(picks) ? picks : []).map((number) => make('li', {}, digits(number)));
  const number = Number.parseInt(byId('mine-number').value, 10);
  const part = number > 0 && !mismatch ? partOf(draw, number) : null;
  return make(
    'li',
    { className: 'card draw', 'data-verdict': isWell ? 'holds' : 'fails', 'data-draw': id },
    make('p', { className: 'seal' }, `${isWell ? '✓' : '✕'} ${t(isWell ? 'holds' : 'fails')}`),
    make('h3', { dir: 'auto' }, String(name)),
    mismatch && make('p', { className: 'wrong' }, t(mismatch.code, ...mismatch.values)),
    status === 'cancelled' && make('p', { className: 'wrong' }, t('cancelledDraw', reason)),
    draw.redraw_of && make('p', { className: 'quiet' }, t('redrawOf', digits(draw.redraw_of.draw_number))),
    make('ul', { className: 'numbers', 'aria-label': t('winners') }, numbers),
    make('p', { className: 'quiet' }, [t('from', draw.winner_count, draw.pool_size), draw.started_at && `${t('drawnAt')} ${moment(draw.started_at)}`].filter(Boolean).join(' · ')),
    part && make('p', { className: `part ${part}` }, t(part)),
    promise(draw) && make('p', { className: promise(draw) === 'broken' ? 'wrong' : 'promise' }, t(promise(draw))),
    Array.isArray(voided) && voided.length > 0 && make('p', {}, `${t('voids')}: ${voided.map(voidText).join(', ')}`),
    numbersUsed(draw),
  );
}

const voidText = ({ draw_number: number, reason }) => t('voidLine', digits(number), t('reasons')[reason] ?? reason);

function numbersUsed({ entropy, commitment, excluded }) {
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

/** Whether this browser had heard the draw's commitment before: 'promised', 'broken', or null when it had heard none. */
function promise({ draw_id: id, commitment }) {
  const heard = model.file ? null : promiseOf(model.event, model.session, id);
  return heard ? (heard === commitment ? 'promised' : 'broken') : null;
}

async function verify(draws) {
  model.state = 'checking';
  model.checked = [];
  render();
  model.checked = await checkAll(draws);
  const isWell = model.checked.every(({ mismatch, draw }) => !mismatch && promise(draw) !== 'broken');
  model.state = draws.length === 0 ? 'none' : isWell ? 'holds' : 'fails';
  render();
}

async function load() {
  model.file = null;
  model.state = 'opening';
  model.checked = [];
  render();
  try {
    const proof = await call('GET', `/proof?event_id=${model.event}`, { patience: 60_000 });
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
  model.event = await eventOfPage();
  if (!model.event) {
    model.state = 'no-event';
    return render();
  }
  byId('download').href = `/api/luckydraw/proof?event_id=${model.event}`;
  const own = recall(`ticket.${model.event}`)?.number;
  if (own) byId('mine-number').value = own;
  call('GET', `/results?event_id=${model.event}`).then(({ title }) => {
    model.title = title;
    render();
  }, () => {});
  await load();
}

start();
