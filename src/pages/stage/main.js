// The stage page, for the projector. One connection to the server, one model, one render.
//
// It shows the event and draws nothing itself. Winners arrive in a frame with the moment at which
// every page shows them, and the animation settles on them by then.

import { call } from "../shared/api.js";
import { connect } from "../shared/connection.js";
import { byId, digits, findEvent, setShown, setText, takeLinkToken } from "../shared/dom.js";
import { Countdown } from "../shared/countdown.js";
import { applyFrame, initialState, validWinners } from "../shared/event.js";
import { translatePage } from "../shared/i18n.js";
import * as storage from "../shared/storage.js";
import { Animator } from "./animator.js";
import { Confetti } from "./confetti.js";
import { wireControls } from "./controls.js";
import { Lobby } from "./lobby.js";
import { messages } from "./messages.js";
import { Pool } from "./pool.js";
import { wirePrizeImage } from "./prize.js";
import { StageProof } from "./proof.js";
import { StageReport } from "./report.js";
import { Sound } from "./sound.js";
import { renderStage, sceneOf } from "./view.js";

/** Delay of the dot: a shorter outage needs none. */
const DOT_AFTER_MS = 1_500;
const CANCELLED_MS = 6_000;
/** Delay of a render that may wait. Not requestAnimationFrame: a hidden tab has no frames. */
const RENDER_AFTER_MS = 50;
/** Pitch of the countdown's last tick. */
const TICK_STEP = 10;
const BAD_TOKEN = 4401;
const NO_SUCH_EVENT = 4404;
const PHASES = { REGISTRATION_OPEN: 'open', REGISTRATION_CLOSED: 'drawing', EVENT_CLOSED: 'closed' };
/**
 * What this screen shows: draws and the winners between them, draws and how to join, how to join
 * alone, winners alone, or draws alone over another picture.
 */
const SCREENS = ['main', 'lobby', 'entrance', 'winners', 'overlay'];
const VIEWER = { role: 'phone', token: null, isDisplay: false };

const model = {
  event: null,
  state: initialState,
  /** One of SCREENS: /lottery/main and /lottery are the first two, ?screen= names any. */
  screen: ownScreen(),
  isDisplay: false,
  /** The numbers that can win a draw: { draw_id, numbers }, or null. */
  pool: null,
  isGone: false,
  cancelledUntil: 0,
  /** The second that counts down before the winners, or null. */
  count: null,
  /** The page of a list and the number of pages. */
  page: [1, 1],
};
const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');
const isReducedMotion = () => reducedMotion.matches;
const t = translatePage(messages, () => {
  document.title = t('page');
  render();
});

let connection = null;
let access = VIEWER;
let isLoginRefused = false;
let lobby = null;
let dotTimer = null;
let isRenderDue = false;

const sound = new Sound(renderSoon);
const confetti = new Confetti(byId('confetti'), isReducedMotion);
const animator = new Animator({
  area: byId('animation'),
  sound,
  confetti,
  isReducedMotion,
  untilShown: (draw) => connection?.untilShown(draw) ?? 0,
  onSettled: announceWinners,
  onPage: setPage,
});
const proof = new StageProof(model, render);
const countdown = new Countdown({ until: (draw) => connection?.untilShown(draw) ?? 0, show: showSecond });
wirePrizeImage();
const controls = wireControls({ sound, turnPage: (by) => animator.turnPage(by), onCode: render });
const report = new StageReport({
  send: sendReport,
  describe: () => ({ page: model.screen, isReducedMotion: isReducedMotion() }),
  onLead: (isLead) => sound.setMirror(!isLead),
  apply: applyOrders,
});
start();

function ownScreen() {
  const named = new URLSearchParams(location.search).get('screen');
  return SCREENS.includes(named) ? named : location.pathname.endsWith('/main') ? 'main' : 'lobby';
}

async function start() {
  document.title = t('page');
  const token = takeLinkToken();
  model.event = await findEvent();
  if (!model.event) {
    model.isGone = true;
    render();
    return;
  }
  if (token) storage.set(tokenKey(), token);
  lobby = new Lobby(model.event);
  await enter();
  // After a login elsewhere in this browser, the page is a display and no longer a viewer.
  window.addEventListener('focus', upgrade);
}

/**
 * Stores the link's token, so that a reload stays a display and the address bar does not show it.
 */
const tokenKey = () => `stage.${model.event}`;

/**
 * Finds the role of this page: a display by its link's token or by the host's login in this
 * browser, else a viewer, who sees what a phone may know and completes no draw.
 */
async function findAccess() {
  const token = storage.get(tokenKey());
  if (token) return { role: 'display', token, isDisplay: true };
  const login = isLoginRefused ? {} : await call('GET', '/admin/login').catch(() => ({}));
  return login.logged_in ? { role: 'display', token: null, isDisplay: true } : VIEWER;
}

async function enter() {
  access = await findAccess();
  model.isDisplay = access.isDisplay;
  lobby.loadAddress();
  const { role, token } = access;
  connection = connect({ event: model.event, role, token, onFrame: handleFrame, onStatus: handleStatus });
}

async function upgrade() {
  if (access.isDisplay || !(await findAccess()).isDisplay || access.isDisplay) return;
  connection.close();
  enter();
}

function handleFrame(frame) {
  const { type } = frame;
  if (type === 'notice') applyNotice(frame.code);
  else if (type === 'stage_orders') return report.receive(frame);
  else if (type === 'draw_pool') return notePool(frame.draw_id, frame.ranges);
  else if (type === 'state_sync') notePool(frame.current?.draw_id, frame.current?.pool);
  else if (type === 'draw_voided' && frame.draw_id && !frame.draw_number) showCancelled();
  else if (type === 'winner_arrived') noteArrival(frame);
  const before = model.state;
  model.state = applyFrame(before, frame);
  // A stage that polls gets states alone.
  if (type === 'state_sync' && before.phase !== null && hasNewArrival(before, model.state)) sound.chime();
  proof.apply(frame, model.state);
  followJoinCode(frame);
  if (type === 'state_sync') model.isGone = false;
  if (type === 'participant_joined' || type === 'connection_count') renderSoon();
  else render();
  if (type === 'state_sync' && animator.isSettled) completeDraw();
}

/** Notes who can win a draw: only a display is told. */
function notePool(id, ranges) {
  if (ranges) model.pool = { draw_id: id, numbers: new Pool(ranges) };
}

/** Notes that a winner is here: only a display is told. */
function noteArrival({ draw_id: id, draw_number: number }) {
  const { state } = model;
  const withArrival = (draw) => (draw.draw_id === id ? { ...draw, arrived: [...(draw.arrived ?? []), number] } : draw);
  model.state = { ...state, results: state.results.map(withArrival), announced: state.announced && withArrival(state.announced) };
  sound.chime();
}

/** True when a winner is here now who was not before. */
function hasNewArrival(before, state) {
  const arrivals = ({ results }) => results.flatMap(({ draw_id: id, arrived = [] }) => arrived.map((number) => `${id}:${number}`));
  const known = arrivals(before);
  return arrivals(state).some((arrival) => !known.includes(arrival));
}

/** Shows the present code in the QR code; only a display is told. */
function followJoinCode(frame) {
  const send = (message) => connection.send(message);
  if (frame.type === 'join_code') lobby.joinCode.receive(frame, send);
  else if (['state_sync', 'entry_code'].includes(frame.type)) {
    lobby.joinCode.follow(access.isDisplay && model.state.entry_code_rotates, send);
  }
}

function applyNotice(code) {
  const phase = PHASES[code];
  if (phase) model.state = { ...model.state, phase, registration_open: phase === 'open' };
}

function handleStatus({ status, code }) {
  document.body.dataset.connection = status;
  clearTimeout(dotTimer);
  if (status === 'live' || status === 'polling') {
    setShown('connection-dot', false);
    lobby.loadAddress();
    report.send();
    return;
  }
  dotTimer = setTimeout(() => setShown('connection-dot', true), DOT_AFTER_MS);
  if (status !== 'ended') return;
  if (code === BAD_TOKEN && access.isDisplay) {
    if (access.token) storage.remove(tokenKey());
    else isLoginRefused = true;
    enter();
  } else if (code === NO_SUCH_EVENT) {
    model.isGone = true;
    render();
  }
}

/** Sends the report of this stage; by a call where the network blocks sockets. */
function sendReport(message) {
  if (!access.isDisplay || !connection || connection.send(message) || !connection.polling) return;
  const answer = call('POST', `/admin/${model.event}/stages`, { body: message, token: access.token });
  answer.then((orders) => report.receive(orders)).catch(() => {});
}

/** Does what the console asks of this stage. */
function applyOrders({ page, is_black: isBlack, is_muted: isMuted, shows_code: showsCode }) {
  if (SCREENS.includes(page)) model.screen = page;
  controls.set({ isBlack, isMuted, showsCode });
  render();
}

/** Shows briefly that a draw was called off before its winners were known. */
function showCancelled() {
  model.cancelledUntil = performance.now() + CANCELLED_MS;
  setTimeout(render, CANCELLED_MS + 50);
}

/** The animation has settled; without a planned moment, the phones may learn the winners too. */
function announceWinners() {
  completeDraw();
  // The animator calls this in the middle of a render.
  queueMicrotask(render);
  const { draw } = sceneOf(model);
  if (draw?.winners) setText('live-region', t('announcement', draw.prize_name, validWinners(draw).map(digits).join(', ')));
}

/** Completes the draw; repeated with every sync, since the connection may have been down. */
function completeDraw() {
  const { name, draw } = sceneOf(model);
  if (access.isDisplay && name === 'revealed' && !draw.show_at) connection?.send({ type: 'draw_complete', draw_id: draw.draw_id });
}

/** Shows a second of the countdown, which phones show as well. */
function showSecond(second) {
  model.count = second;
  if (second === null) delete document.body.dataset.count;
  else document.body.dataset.count = second;
  if (second !== null) sound.tick(TICK_STEP - second);
  // The render that follows the countdown may be under way.
  queueMicrotask(render);
  if (second === null || isReducedMotion()) return;
  byId('caption').animate([{ transform: 'scale(1.7)', opacity: 0 }, { transform: 'none' }], { duration: 320, easing: 'ease-out' });
}

function setPage(page, pages) {
  model.page = [page, pages];
  document.body.dataset.page = pages > 1 ? `${page}/${pages}` : '';
  renderSoon();
}

function renderSoon() {
  if (isRenderDue) return;
  isRenderDue = true;
  setTimeout(() => {
    isRenderDue = false;
    render();
  }, RENDER_AFTER_MS);
}

function render() {
  setShown('viewer', model.event !== null && !model.isGone && connection !== null && !model.isDisplay);
  renderStage(model, { animator, lobby, sound, proof }, t);
  const { name, draw } = sceneOf(model);
  countdown.follow(name === 'revealed' && !animator.isSettled ? draw : null);
}
