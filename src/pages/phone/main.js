// The phone in everybody's hand: takes a number, keeps it whatever happens to the page, and shows what becomes of it, never before the stage does.
//
// One model, one render. Frames come over one line; what only winners need is loaded after a win.

import { Refusal, call } from "../shared/api.js";
import { after, unknown } from "../shared/event.js";
import { speak } from "../shared/i18n.js";
import { connect } from "../shared/connection.js";
import { byId, digits, eventOfPage, say } from "../shared/dom.js";
import { prizeDesk } from "./winner-loader.js";
import { hearPromise } from "../shared/commitments.js";
import { allowSound, fanfare, shake, stayAwake } from "./device.js";
import { lineStrip } from "./connection-status.js";
import { dropTicket, begunTry, keptTicket, recover, register } from "./registration.js";
import { render, spokenOf } from "./view.js";
import { Wins, whyGone } from "./wins.js";
import { words } from "./messages.js";

const model = {
  event: null,
  ticket: null,
  isKept: true,
  state: unknown,
  isHeard: false,
  privacy: null,
  wins: null,
  picked: null,
  isSkipped: false,
  voided: null,
  isReset: false,
  isForgotten: false,
  oldNumber: null,
  page: 'home',
  isRegistering: false,
  failures: 0,
  needsCode: false,
  refusal: null,
  ending: null,
  /** Draws whose winner said "I'm here", until the server has heard it; and how the last word went. */
  here: [],
  hereFailed: false,
};

const t = speak(words, show);
const strip = lineStrip(t);
let line = null;
let desk = null;
let shown = null;
let celebrated = null;
let hasLanded = false;

function show() {
  if (model.event === null && model.ending === null) return;
  const view = render(model, t);
  document.title = model.ticket ? `${digits(model.ticket.number)} · ${model.state.title ?? ''}` : model.state.title || t('yourNumber');
  strip.show();
  if (view === 'won') celebrate(model.wins.unseen());
  if (['form', 'claim', 'handed-over'].includes(view)) showDesk();
  else desk?.rest();
  if (view !== shown) moveTo(view);
  shown = view;
}

/** Speaks the news, and puts the keyboard where they are. */
function moveTo(view) {
  say('spoken', spokenOf(model, view, shown, t));
  if (shown === null || shown === 'opening') return;
  const part = [...document.querySelectorAll('[data-when]')].find((each) => !each.hidden && !each.contains(document.activeElement));
  const isAtHome = ['waiting', 'standby', 'suspense', 'lost', 'over'];
  if (isAtHome.includes(view) && isAtHome.includes(shown)) return;
  part?.querySelector('[tabindex="-1"]')?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function celebrate(win) {
  if (celebrated === win.draw_id) return;
  celebrated = win.draw_id;
  shake([250, 120, 250, 120, 700]);
  fanfare();
  loadDesk().then((loaded) => loaded.confetti());
  refresh();
}

async function loadDesk() {
  const parts = { model, refresh, heardWins, sayHere, leave: () => goTo('home'), pick, changed: show };
  desk = await prizeDesk(parts, () => say('spoken', t('loadFailed')));
  return desk;
}

async function showDesk() {
  const loaded = desk ?? (await loadDesk());
  if (['form', 'claim', 'handed-over'].includes(document.body.dataset.state)) loaded.show();
}

/** Asks how things stand for this number alone. Gives whether the server answered. */
async function refresh() {
  const ticket = model.ticket;
  const { state_sync: sync } = await call('GET', `/state?event_id=${model.event}`, { token: ticket?.token }).catch(() => ({}));
  if (!sync || model.ticket !== ticket) return false;
  takeOwn(sync);
  if (!ticket) model.state = after(model.state, sync);
  show();
  return true;
}

/** What a state sync says of this number; one for nobody says nothing of it. */
function takeOwn(sync) {
  if (!sync.you || !model.ticket || sync.you.draw_number !== model.ticket.number) return;
  model.privacy = sync.privacy ?? model.privacy;
  takeWins(sync.you.prizes);
}

function takeWins(prizes) {
  const gone = model.wins.told(prizes);
  if (!hasLanded) land();
  if (model.picked) model.picked = model.wins.all.find((win) => win.draw_id === model.picked.draw_id) ?? null;
  for (const win of gone) tellGone(win);
}

/** Whoever opens the page again with a prize to fetch comes to the prize. */
function land() {
  hasLanded = true;
  const open = model.wins.all.find((win) => !win.handed_over_at);
  if (open && model.page === 'home') Object.assign(model, { picked: open, page: 'prize' });
}

async function tellGone(win) {
  const number = model.ticket.number;
  const reason = await whyGone(model.event, { draw_id: win.draw_id, number }).catch(() => 'other');
  model.voided = { ...win, reason };
  show();
}

function hear(frame) {
  switch (frame.type) {
    case 'state_sync':
      model.isHeard = true;
      if (model.ticket && frame.event_session_id !== model.ticket.session) return startOver();
      takeOwn(frame);
      break;
    case 'winner_announced':
      if (model.ticket && frame.winners.includes(model.ticket.number)) model.wins.announced(frame);
      break;
    case 'draw_voided':
      if (model.ticket && frame.draw_number === model.ticket.number) loseWins(frame.draw_id, frame.reason);
      break;
    case 'event_reset':
      if (frame.reset_participants) return startOver();
      if (model.ticket) loseWins(null, 'reset');
      break;
    case 'notice':
      notice(frame.code);
      break;
    case 'im_here_ack':
      heardHere(frame.success);
      break;
  }
  model.state = after(model.state, frame);
  if (model.state.current) hearPromise(model.event, model.state.event_session_id, model.state.current);
  show();
}

function notice(code) {
  const phase = { REGISTRATION_OPEN: 'open', REGISTRATION_CLOSED: 'drawing', EVENT_CLOSED: 'closed' }[code];
  if (phase) model.state = { ...model.state, phase, registration_open: phase === 'open' };
}

/** The desk of a winner asked for its wins alone. */
function heardWins(prizes) {
  if (!model.ticket) return;
  takeWins(prizes);
  show();
}

function loseWins(draw, reason) {
  const [win] = model.wins.taken(draw);
  if (!win) return;
  model.voided = { draw_id: win.draw_id, prize_name: win.prize_name, reason };
  if (model.picked && !model.wins.all.includes(model.picked)) model.picked = null;
}

/** The event began anew, or the server does not know this number: the phone may take another. */
function startOver() {
  const old = model.ticket;
  model.oldNumber = old?.number ?? null;
  model.isReset = old !== null;
  dropTicket(model.event);
  Object.assign(model, { ticket: null, wins: null, picked: null, voided: null, page: 'home', refusal: null, privacy: null });
  line.prove(null);
  model.isHeard = false;
  refresh().then(() => {
    model.isHeard = true;
    model.isForgotten = old?.session === model.state.event_session_id;
    show();
  });
}

function adopt({ ticket, isKept }) {
  Object.assign(model, { ticket, isKept, isReset: false, refusal: null, page: 'home', wins: new Wins(model.event, ticket.session) });
  line.prove(ticket.token);
}

async function getNumber(entryCode, begun = null) {
  if (model.isRegistering) return;
  Object.assign(model, { isRegistering: true, failures: 0, refusal: null });
  show();
  const { state } = model;
  const since = begun?.since ?? Math.max(0, state.current?.draw_id ?? 0, state.announced?.draw_id ?? 0, state.last_draw_id ?? 0);
  const consent = begun?.consent ?? Boolean(state.consent_required);
  const onDelay = (failures) => {
    model.failures = failures;
    show();
  };
  try {
    adopt(await register(model.event, { consent, entryCode, since, onDelay }));
  } catch (error) {
    await refused(error instanceof Refusal ? error.code : 'FAILED', entryCode);
  }
  model.isRegistering = false;
  show();
  if (model.needsCode && !model.ticket) byId('entry-code').select();
}

async function refused(code, entryCode) {
  if (code === 'EVENT_NOT_FOUND') model.ending = 'no-event';
  else if (code === 'EVENT_CLOSED') notice('EVENT_CLOSED');
  else if (code === 'REGISTRATION_CLOSED') notice('REGISTRATION_CLOSED');
  else if (code === 'EVENT_FULL') model.refusal = code;
  else if (code === 'CONSENT_REQUIRED') await refresh();
  else if (code === 'FORBIDDEN') {
    model.refusal = entryCode ? 'ENTRY_WRONG' : 'ENTRY_NEEDED';
    model.needsCode = true;
  } else model.refusal = 'FAILED';
}

/** Whoever lost the page's memory but not the browser's cookie gets the number by asking; all others by their code. */
async function findNumber() {
  if (model.state.registration_open && !model.isReset) return goTo('recover');
  try {
    adopt(await register(model.event, { consent: false, since: 0, onDelay: () => {} }));
    show();
  } catch {
    goTo('recover');
  }
}

async function recoverNumber() {
  const number = Number.parseInt(byId('recover-number').value, 10);
  const code = byId('recover-code').value.trim();
  if (!(number > 0) || code.replace(/[\s-]/g, '').length !== 8) return say('recover-wrong', t('recoverMissing'));
  byId('recover-button').disabled = true;
  say('recover-wrong', '');
  try {
    adopt(await recover(model.event, number, code));
    show();
  } catch ({ code: why }) {
    say('recover-wrong', t({ OFFLINE: 'offline', TOO_MANY: 'tooMany' }[why] ?? 'recoverWrong'));
  }
  byId('recover-button').disabled = false;
}

function sayHere(win) {
  if (!model.here.includes(win.draw_id)) model.here.push(win.draw_id);
  model.hereFailed = !line.send({ type: 'im_here', draw_id: win.draw_id });
  show();
}

/** Answers come in the order of the words. */
function heardHere(isGranted) {
  const draw = model.here.shift();
  if (draw !== undefined && isGranted) model.wins?.here(draw);
  model.hereFailed = !isGranted;
}

function pick(win) {
  model.picked = win;
  model.isSkipped = false;
  model.page = 'prize';
  show();
}

function goTo(page) {
  model.page = page;
  show();
}

function onStatus(status) {
  strip.take(status);
  if (status.line === 'ended') ended(status.code);
  if (status.line !== 'live') return;
  for (const draw of model.here) line?.send({ type: 'im_here', draw_id: draw });
}

/** The server wants no coming back. Only it knows why: an event that is over still tells how it ended. */
async function ended(code) {
  if (code === 4409) model.ending = 'replaced';
  else if (code === 4401) {
    // A reset may have been heard already, before the server answered to the token.
    if (model.ticket) startOver();
    line.again();
  } else await lookAgain();
  show();
}

async function lookAgain() {
  const ticket = model.ticket;
  try {
    const { state_sync: sync } = await call('GET', `/state?event_id=${model.event}`, { token: ticket?.token });
    if (model.ticket === ticket) hear(sync);
    model.ending = null;
    if (sync.phase !== 'closed') line.again();
  } catch ({ code }) {
    if (code === 'EVENT_NOT_FOUND') model.ending = 'no-event';
    // Nobody answered: the line finds out.
    else line.again();
  }
  model.isHeard = true;
}

async function pressNotice() {
  const view = document.body.dataset.state;
  if (view === 'voided') {
    model.voided = null;
    return show();
  }
  if (!model.event) return location.reload();
  model.ending = null;
  model.refusal = null;
  if (view === 'replaced') line.again();
  else await lookAgain();
  show();
}

function listen() {
  for (const name of ['pointerup', 'keydown']) {
    window.addEventListener(name, () => {
      allowSound();
      if (model.ticket || model.isRegistering) stayAwake();
    });
  }
  byId('join').addEventListener('submit', (submit) => {
    submit.preventDefault();
    stayAwake();
    const isAsked = !byId('entry').hidden;
    const code = byId('entry-code').value.replace(/\D/g, '');
    if (isAsked && code.length !== 4) {
      model.refusal = 'ENTRY_NEEDED';
      show();
      byId('entry-code').focus();
    } else getNumber(isAsked ? code : undefined);
  });
  byId('recover').addEventListener('submit', (submit) => {
    submit.preventDefault();
    recoverNumber();
  });
  byId('join-recover').addEventListener('click', findNumber);
  byId('notice-recover').addEventListener('click', findNumber);
  byId('recover-back').addEventListener('click', () => goTo('home'));
  byId('notice-button').addEventListener('click', pressNotice);
  byId('my-wins').addEventListener('click', () => pick(model.wins.all.find((win) => !win.handed_over_at) ?? model.wins.all[0]));
  byId('won-here').addEventListener('click', () => lookAt(model.wins.unseen(), sayHere));
  byId('won-next').addEventListener('click', () => lookAt(model.wins.unseen()));
  window.addEventListener('storage', adoptOther);
  for (const name of ['online', 'offline']) window.addEventListener(name, strip.show);
}

function lookAt(win, first = () => {}) {
  model.wins.see(win);
  first(win);
  pick(win);
}

/** Another window of this browser got the number. */
function adoptOther() {
  const ticket = keptTicket(model.event);
  if (ticket && !model.ticket && !model.isRegistering) {
    adopt({ ticket, isKept: true });
    show();
  }
}

async function start() {
  listen();
  model.event = await eventOfPage();
  if (!model.event) {
    model.ending = 'no-event';
    return show();
  }
  const begun = begunTry(model.event);
  model.ticket = keptTicket(model.event);
  if (model.ticket) {
    model.wins = new Wins(model.event, model.ticket.session);
    stayAwake();
  }
  byId('verify').firstElementChild.href = `/lottery/verify?event=${model.event}`;
  line = connect({ event: model.event, token: model.ticket?.token, onFrame: hear, onStatus });
  show();
  // A tap was made before, and its answer is still owed.
  if (!model.ticket && begun) getNumber(undefined, begun);
}

start();
