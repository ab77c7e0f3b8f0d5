// The phone page: obtains a number, keeps it across reloads and failures, and shows its result,
// never before the stage does.
//
// One model, one render. Frames arrive over one connection; what only winners need is loaded after
// a win.

import { call } from "../shared/api.js";
import { connect } from "../shared/connection.js";
import { byId, delay, digits, findEvent, setText } from "../shared/dom.js";
import { applyFrame, initialState } from "../shared/event.js";
import { isolate, translatePage } from "../shared/i18n.js";
import { keepScreenOn, playFanfare, unlockSound, vibrate } from "./device.js";
import { leaveDeadEdge, takeHeld } from "./edge.js";
import { messages } from "./messages.js";
import { Proof } from "./proof.js";
import { RegistrationForms, pendingAttempt, removeTicket, storedTicket, takeEntryPass } from "./registration.js";
import { Show } from "./show.js";
import { announcementFor, connectionStatus, render } from "./view.js";
import { Wins, reasonOfLoss } from "./wins.js";

const REPLACED = 4409;
const BAD_TOKEN = 4401;
const MODULE_RETRY_MS = 3_000;
const WINNER_VIEWS = ['form', 'claim', 'handed-over'];
const HOME_VIEWS = ['waiting', 'standby', 'suspense', 'lost', 'over'];

const model = {
  event: null,
  ticket: null,
  isStored: true,
  state: initialState,
  hasState: false,
  privacy: null,
  wins: null,
  selectedWin: null,
  /** The second that counts down before the winners, or null. */
  count: null,
  /** What this phone checked itself of the last draw. */
  checked: { code: null, place: null },
  isFormSkipped: false,
  isCorrecting: false,
  voided: null,
  isReset: false,
  isForgotten: false,
  oldNumber: null,
  hasRejoined: false,
  page: 'home',
  isRegistering: false,
  failures: 0,
  needsCode: false,
  refusal: null,
  ending: null,
  /**
   * Draws whose winner pressed "I'm here", until the server acknowledges; and how the last one
   * went.
   */
  pendingHere: [],
  hereFailed: false,
};

const t = translatePage(messages, show);
const status = connectionStatus(t);
const forms = new RegistrationForms({ model, t, adopt, closeRegistration: applyNotice, refresh, goTo, show });
let connection = null;
/** The part of the page for winners: a promise of it once loading began, and the part itself. */
let loading = null;
let winnerPart = null;
/** The part that keeps the proof, and the one that plays the show once there is a number. */
let proof = null;
let showPart = null;
let shownView = null;
let celebratedDraw = null;
let hasLanded = false;

function show() {
  if (model.event === null && model.ending === null) return;
  const view = render(model, t);
  document.title = titleOf(view);
  status.render();
  if (view === 'won') celebrate(model.wins.firstUnseen());
  if (WINNER_VIEWS.includes(view)) showWinnerPart();
  else winnerPart?.stop();
  if (view !== shownView) enter(view);
  shownView = view;
  if (model.ticket && connection) followShow(view);
}

/** Plays the show. */
function followShow(view) {
  showPart ??= new Show({ model, connection, show });
  showPart.follow(view);
}

/** Title of the tab: a win shows among other tabs, until its owner has opened it. */
function titleOf(view) {
  const { ticket, state } = model;
  if (!ticket) return state.title || t('yourNumber');
  const number = digits(ticket.number);
  return view === 'won' ? `🎉 ${t('wonTitle')} · ${number}` : `${number} · ${isolate(state.title ?? '')}`;
}

/** Announces a new view to screen readers and moves the keyboard's focus there. */
function enter(view) {
  setText('live-region', announcementFor(model, view, shownView, t));
  if (shownView === null || shownView === 'opening') return;
  if (HOME_VIEWS.includes(view) && HOME_VIEWS.includes(shownView)) return;
  const parts = [...document.querySelectorAll('[data-when]')];
  const part = parts.find((each) => !each.hidden && !each.contains(document.activeElement));
  part?.querySelector('[tabindex="-1"]')?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function celebrate(win) {
  if (celebratedDraw === win.draw_id) return;
  celebratedDraw = win.draw_id;
  vibrate([250, 120, 250, 120, 700]);
  playFanfare();
  loadWinnerPart().then((part) => part.confetti());
  refresh();
}

/** Loads the part for winners once, and retries while the network fails. */
function loadWinnerPart() {
  loading ??= importWinnerModule().then((module) => {
    winnerPart = module.winnerPart({ model, refresh, applyWins, reportPresence, selectWin, show, leave: () => goTo('home') });
    return winnerPart;
  });
  return loading;
}

async function importWinnerModule() {
  for (let tries = 0; ; tries += 1) {
    try {
      // A browser may cache that a module failed to load: another address is another attempt.
      return tries === 0 ? await import("./winner.js") : await import(`./winner.js?again=${tries}`);
    } catch {
      setText('live-region', t('loadFailed'));
      await delay(MODULE_RETRY_MS);
    }
  }
}

async function showWinnerPart() {
  const part = winnerPart ?? (await loadWinnerPart());
  if (WINNER_VIEWS.includes(document.body.dataset.state)) part.show();
}

/** Fetches this number's own state. Returns true if the server answered. */
async function refresh() {
  const { ticket } = model;
  const { state_sync: sync } = await call('GET', `/state?event_id=${model.event}`, { token: ticket?.token }).catch(() => ({}));
  if (!sync || model.ticket !== ticket) return false;
  if (sync.you) sync.you.prizes = withoutEarly(sync.you.prizes);
  applyOwn(sync);
  if (!ticket) model.state = applyFrame(model.state, sync);
  show();
  return true;
}

/** Applies the part of a state_sync about this number; an anonymous one has none. */
function applyOwn({ you, privacy }) {
  if (!you || !model.ticket || you.draw_number !== model.ticket.number) return;
  model.privacy = privacy ?? model.privacy;
  replaceWins(you.prizes);
}

function replaceWins(prizes) {
  const gone = model.wins.replace(prizes);
  if (!hasLanded) land();
  const { selectedWin } = model;
  if (selectedWin) model.selectedWin = model.wins.all.find((win) => win.draw_id === selectedWin.draw_id) ?? null;
  for (const win of gone) explainLoss(win);
}

/** Opens the prize at once for a winner who comes back to the page to fetch it. */
function land() {
  hasLanded = true;
  const win = model.wins.firstUnclaimed();
  if (win && model.page === 'home') Object.assign(model, { selectedWin: win, page: 'prize' });
}

async function explainLoss(win) {
  const { number } = model.ticket;
  const reason = await reasonOfLoss(model.event, { draw_id: win.draw_id, number }).catch(() => 'other');
  model.voided = { ...win, reason };
  show();
}

function handleFrame(frame) {
  const { ticket } = model;
  switch (frame.type) {
    case 'state_sync':
      model.hasState = true;
      if (ticket && frame.event_session_id !== ticket.session) return startOver();
      applyOwn(frame);
      break;
    case 'winner_announced':
      if (ticket && frame.winners.includes(ticket.number)) model.wins.add(frame);
      break;
    case 'draw_voided':
      if (ticket && frame.draw_number === ticket.number) removeWins(frame.draw_id, frame.reason);
      showPart?.waiting.load();
      break;
    case 'event_reset':
      if (frame.reset_participants) return startOver();
      if (ticket) removeWins(null, 'reset');
      showPart?.waiting.load();
      break;
    case 'participants_removed':
      if (ticket && frame.ranges.some(([first, last]) => first <= ticket.number && ticket.number <= last)) return startOver();
      break;
    case 'notice':
      applyNotice(frame.code);
      break;
    case 'im_here_ack':
      handlePresenceAck(frame.success);
      break;
  }
  model.state = applyFrame(model.state, frame);
  keepProof(frame);
  show();
}

/** Keeps what a frame says of the proof. */
function keepProof(frame) {
  proof ??= new Proof(model, show);
  proof.apply(frame, model.state, model.ticket);
}

function applyNotice(code) {
  const phase = { REGISTRATION_OPEN: 'open', REGISTRATION_CLOSED: 'drawing', EVENT_CLOSED: 'closed' }[code];
  if (phase) model.state = { ...model.state, phase, registration_open: phase === 'open' };
}

/** Applies the server's list of wins that the part for winners asked for. */
function applyWins(prizes) {
  if (!model.ticket) return;
  replaceWins(withoutEarly(prizes));
  show();
}

/** The wins without that of a show whose moment is to come: the server names it shortly before. */
const withoutEarly = (prizes) =>
  prizes.filter((win) => win.draw_id !== model.state.current?.draw_id || connection.untilShown(model.state.current) === 0);

function removeWins(draw, reason) {
  const [win] = model.wins.remove(draw);
  if (!win) return;
  model.voided = { draw_id: win.draw_id, prize_name: win.prize_name, reason };
  if (model.selectedWin && !model.wins.all.includes(model.selectedWin)) model.selectedWin = null;
}

/**
 * Drops the number after a reset, or when the server does not know it: the phone may register anew.
 */
function startOver() {
  const old = model.ticket;
  model.oldNumber = old?.number ?? null;
  model.isReset = old !== null;
  removeTicket(model.event);
  Object.assign(model, { ticket: null, wins: null, selectedWin: null, voided: null, page: 'home', refusal: null, privacy: null });
  connection.identify(null);
  model.hasState = false;
  refresh().then(() => {
    model.hasState = true;
    model.isForgotten = old?.session === model.state.event_session_id;
    show();
    if (model.isForgotten) rejoin();
  });
}

/**
 * Registers anew without a tap, once per page: a restore of the server took this phone's number. An
 * event that asks for a code or for consent needs its person.
 */
function rejoin() {
  const { registration_open: isOpen, consent_required: needsConsent, entry_code_required: needsCode } = model.state;
  if (model.hasRejoined || !isOpen || needsConsent || needsCode) return;
  model.hasRejoined = true;
  forms.join();
}

function adopt({ ticket, isStored }) {
  const wins = new Wins(model.event, ticket.session);
  Object.assign(model, { ticket, isStored, wins, isReset: false, refusal: null, page: 'home' });
  connection.identify(ticket.token);
}

function reportPresence(win) {
  if (!model.pendingHere.includes(win.draw_id)) model.pendingHere.push(win.draw_id);
  model.hereFailed = !connection.send({ type: 'im_here', draw_id: win.draw_id });
  show();
}

/** Acknowledgements arrive in the order of the messages. */
function handlePresenceAck(isAccepted) {
  const draw = model.pendingHere.shift();
  if (draw !== undefined && isAccepted) model.wins?.markHere(draw);
  model.hereFailed = !isAccepted;
}

function selectWin(win) {
  Object.assign(model, { selectedWin: win, isFormSkipped: false, isCorrecting: false, page: 'prize' });
  show();
}

function goTo(page) {
  model.page = page;
  show();
}

function handleStatus(update) {
  status.update(update);
  if (update.status !== 'live') proof?.pause();
  leaveDeadEdge(update, model.event);
  if (update.status === 'ended') handleEnd(update.code);
  if (update.status !== 'live') return;
  for (const draw of model.pendingHere) connection?.send({ type: 'im_here', draw_id: draw });
}

/** Handles a close code that forbids a reconnect. */
async function handleEnd(code) {
  if (code === REPLACED) model.ending = 'replaced';
  else if (code === BAD_TOKEN) {
    // A reset may have arrived before the server refused the token.
    if (model.ticket) startOver();
    connection.reconnect();
  } else await checkEvent();
  show();
}

/** Asks whether the event still exists: a closed event still has its results. */
async function checkEvent() {
  const { ticket } = model;
  try {
    const { state_sync: sync, token_refused: isRefused } = await call('GET', `/state?event_id=${model.event}`, { token: ticket?.token });
    if (model.ticket === ticket) {
      if (isRefused && ticket) startOver();
      handleFrame(sync);
    }
    model.ending = null;
    if (sync.phase !== 'closed') connection.reconnect();
  } catch ({ code }) {
    if (code === 'EVENT_NOT_FOUND') model.ending = 'no-event';
    // Without an answer, the connection finds out.
    else connection.reconnect();
  }
  model.hasState = true;
}

async function pressNoticeButton() {
  const view = document.body.dataset.state;
  if (view === 'voided') {
    model.voided = null;
    return show();
  }
  if (!model.event) return location.reload();
  Object.assign(model, { ending: null, refusal: null });
  if (view === 'replaced') connection.reconnect();
  else await checkEvent();
  show();
}

function submitJoin(submit) {
  submit.preventDefault();
  keepScreenOn();
  const isAsked = !byId('entry').hidden;
  const code = byId('entry-code').value.replace(/\D/g, '');
  if (isAsked && code.length !== 4) {
    model.refusal = 'ENTRY_NEEDED';
    show();
    byId('entry-code').focus();
  } else forms.join(isAsked ? code : undefined);
}

/** Ends the celebration of a win and opens its prize. */
function openWin() {
  const win = model.wins.firstUnseen();
  model.wins.markSeen(win);
  selectWin(win);
  return win;
}

/** Adopts the number that another window of this browser obtained. */
function takeTicketOfOtherWindow() {
  const ticket = storedTicket(model.event);
  if (!ticket || model.ticket || model.isRegistering) return;
  adopt({ ticket, isStored: true });
  show();
}

function listen() {
  const onClick = (id, handler) => byId(id).addEventListener('click', handler);
  for (const name of ['pointerup', 'keydown']) {
    window.addEventListener(name, () => {
      unlockSound();
      if (model.ticket || model.isRegistering) keepScreenOn();
    });
  }
  byId('join').addEventListener('submit', submitJoin);
  byId('recover').addEventListener('submit', (submit) => {
    submit.preventDefault();
    forms.recover();
  });
  for (const id of ['join-recover', 'notice-recover']) onClick(id, () => forms.findNumber());
  onClick('recover-back', () => goTo('home'));
  onClick('notice-button', pressNoticeButton);
  onClick('my-wins', () => selectWin(model.wins.firstUnclaimed() ?? model.wins.all[0]));
  onClick('won-here', () => reportPresence(openWin()));
  onClick('won-next', openWin);
  window.addEventListener('storage', takeTicketOfOtherWindow);
  for (const name of ['online', 'offline']) window.addEventListener(name, status.render);
}

async function start() {
  listen();
  model.event = await findEvent();
  if (!model.event) {
    model.ending = 'no-event';
    return show();
  }
  takeHeld(model.event);
  const pending = pendingAttempt(model.event);
  model.ticket = storedTicket(model.event);
  if (model.ticket) {
    model.wins = new Wins(model.event, model.ticket.session);
    keepScreenOn();
  }
  if (!model.ticket) await takeEntryPass(model.event);
  byId('verify').firstElementChild.href = `/lottery/verify?event=${model.event}`;
  connection = connect({ event: model.event, token: model.ticket?.token, onFrame: handleFrame, onStatus: handleStatus });
  show();
  // The answer to an earlier tap is still owed.
  if (!model.ticket && pending) forms.join(undefined, pending);
}

start();
