// The stage: what a hall looks at. One line to the server, one state, one render.
//
// It shows what the event is, and draws nothing itself: winners come in a frame, the show settles on them, and then this page tells the server,
// so that the phones learn them together with the screen.

import { after, unknown } from "../shared/event.js";
import { language, speak } from "../shared/i18n.js";
import { connect } from "../shared/connection.js";
import { byId, digits, eventOfPage, say, secretOfLink, show } from "../shared/dom.js";
import { makeConfetti } from "./confetti.js";
import { wireControls } from "./controls.js";
import { makeLobby } from "./lobby.js";
import { makePrize, renderBoard, renderStrip } from "./prize.js";
import { roleAt } from "./role.js";
import { earlier, noticed, sceneOf, standing } from "./scene.js";
import { makeShows } from "./animation.js";
import { makeSound } from "./sound.js";
import { words } from "./messages.js";

/** A line that is back within this is not worth a dot. */
const DOT_AFTER_MS = 1_500;
const CANCELLED_MS = 6_000;
/** The lobby's door shows winners for so long, and then how to join again. */
const LOBBY_WINNERS_MS = 90_000;
const NO_SUCH_EVENT = 4404;

const { body } = document;
const isMain = location.pathname.endsWith('/main');
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const t = speak(words, () => {
  document.title = t('page');
  render();
});

let state = unknown;
let line = null;
let found = { isStage: false };
let role = null;
let lobby = null;
let isGone = false;
let cancelledUntil = 0;
let winnersUntil = 0;
let dot = null;
let isRenderDue = false;

const sound = makeSound(renderSoon);
const confetti = makeConfetti(byId('confetti'), () => calm.matches);
const prize = makePrize();
const shows = makeShows({ floor: byId('floor'), sound, confetti, isCalm: () => calm.matches, settled, turned });
wireControls({ sound, turn: shows.turn, changed: render });
start();

async function start() {
  document.title = t('page');
  const secret = secretOfLink('token');
  const event = await eventOfPage();
  if (!event) {
    isGone = true;
    render();
    return;
  }
  role = roleAt(event, secret);
  lobby = makeLobby(event);
  await enter(event);
  // An operator who logs in elsewhere in this browser comes back to a stage, not to a viewer.
  window.addEventListener('focus', () => claim(event));
}

async function enter(event) {
  found = await role.find();
  lobby.find();
  line = connect({
    event,
    role: found.role,
    token: found.token,
    onFrame: hear,
    onStatus: (status) => follow(event, status),
  });
}

async function claim(event) {
  if (found.isStage || !(await role.find()).isStage || found.isStage) return;
  line.close();
  enter(event);
}

function hear(frame) {
  if (frame.type === 'notice') state = noticed(state, frame);
  else if (frame.type === 'draw_voided' && frame.draw_id && !frame.draw_number) cancelled();
  else if (frame.type === 'winner_announced') announced();
  state = after(state, frame);
  if (frame.type === 'state_sync') isGone = false;
  if (frame.type === 'participant_joined' || frame.type === 'connection_count') renderSoon();
  else render();
  if (frame.type === 'state_sync' && shows.isSettled()) complete();
}

function follow(event, { line: how, code }) {
  body.dataset.line = how;
  clearTimeout(dot);
  const isUp = how === 'live' || how === 'polling';
  if (isUp) {
    show('line-dot', false);
    lobby.find();
    return;
  }
  dot = setTimeout(() => show('line-dot', true), DOT_AFTER_MS);
  if (how !== 'ended') return;
  if (role.refused(code, found)) {
    enter(event);
  } else if (code === NO_SUCH_EVENT) {
    isGone = true;
    render();
  }
}

/** A draw was called off before its winners were known: said for a moment, then the stage goes on. */
function cancelled() {
  cancelledUntil = performance.now() + CANCELLED_MS;
  setTimeout(render, CANCELLED_MS + 50);
}

/** Only what is announced while the lobby is open holds it up: somebody who opens it wants the code. */
function announced() {
  winnersUntil = performance.now() + LOBBY_WINNERS_MS;
  if (!isMain) setTimeout(render, LOBBY_WINNERS_MS + 50);
}

/** The winners stand: the phones may know them too. */
function settled() {
  complete();
  // The show's own call may still be going on.
  queueMicrotask(render);
  const { draw } = sceneOf(state, isMain);
  if (draw?.winners) say('spoken', t('said', draw.prize_name, standing(draw).map(digits).join(', ')));
}

/** Told again with every sync until the server has it: the line may have been down. */
function complete() {
  const { name, draw } = sceneOf(state, isMain);
  if (found.isStage && name === 'revealed') line?.send({ type: 'draw_complete', draw_id: draw.draw_id });
}

function turned(page, pages) {
  body.dataset.page = pages > 1 ? `${page}/${pages}` : '';
  renderSoon();
}

function renderSoon() {
  if (isRenderDue) return;
  isRenderDue = true;
  // Not by the frame: a hidden tab has none.
  setTimeout(() => {
    isRenderDue = false;
    render();
  }, 50);
}

function render() {
  const scene = sceneOf(state, isMain);
  // First the places, then what measures itself in them.
  body.dataset.mode = scene.draw?.draw_mode ?? '';
  body.dataset.draw = scene.draw?.draw_id ?? '';
  setPlaces(shownName(scene));
  shows.present(scene, state.participant_count);
  const name = shownName(scene);
  setPlaces(name);
  body.dataset.settled = shows.isSettled();
  body.dataset.role = found.isStage ? 'stage' : 'viewer';
  body.dataset.sound = sound.isMuted() ? 'muted' : sound.isLocked() ? 'locked' : 'on';
  renderBar(name);
  if (name === 'lobby') lobby?.render(state, t);
  if (scene.draw) renderDraw(scene, name);
  if (name === 'between') renderBoard(earlier(state, null), t);
  renderNotice(name);
  const looksBack = isMain && (name === 'standby' || (name === 'announced' && scene.draw.draw_mode !== 'list'));
  renderStrip(looksBack ? earlier(state, scene.draw) : [], t);
  renderHint();
}

function setPlaces(name) {
  body.dataset.state = name;
  show('draw', ['standby', 'running', 'revealed', 'announced'].includes(name));
  show('lobby', name === 'lobby');
  show('board', name === 'between');
  show('notice', ['connecting', 'cancelled', 'over', 'none'].includes(name));
}

/** The scene's name as the hall sees it. */
function shownName({ name }) {
  if (isGone) return state.phase === null ? 'none' : 'over';
  if (name === 'connecting') return name;
  const isCalledOff = performance.now() < cancelledUntil && ['lobby', 'between', 'announced'].includes(name);
  if (isCalledOff) return 'cancelled';
  if (body.dataset.code !== undefined && name !== 'running' && name !== 'revealed') return 'lobby';
  if (!isMain && name === 'announced' && shows.isSettled() && performance.now() > winnersUntil) return 'lobby';
  // The show goes on to its end, whenever the announcement comes.
  return name === 'announced' && !shows.isSettled() ? 'revealed' : name;
}

function renderBar(name) {
  say('title', state.title || t('page'));
  show('rehearsal', Boolean(state.rehearsal));
  show('figures', state.phase !== null && name !== 'lobby');
  say('bar-count', state.participant_count.toLocaleString());
  say('bar-connected', state.connection_count.toLocaleString());
}

function renderDraw({ draw }, name) {
  prize.render(draw, t);
  show('kicker', name === 'standby');
  const isOpen = shows.isSettled();
  const captions = { running: draw.redraw_of ? 'redrawing' : 'running', revealed: isOpen ? 'won' : 'revealing', announced: draw.redraw_of ? 'wonAgain' : 'won' };
  say('caption', captions[name] ? t(captions[name]) : t('ready'));
  say('remark', isOpen ? remark(draw, name) : '');
}

function remark(draw, name) {
  const pages = body.dataset.page?.split('/');
  if (draw.draw_mode === 'list' && pages?.length === 2) return `${t('allSeats', draw.winners.length)} · ${t('pageOf', ...pages)}`;
  if (draw.voided?.length > 0) return t('voidedMore');
  return name === 'announced' ? t('wonMore') : '';
}

function renderNotice(name) {
  const said = { cancelled: ['cancelled', 'cancelledMore'], over: ['over', 'overMore'], none: ['nothing', 'nothingMore'] }[name];
  show('notice-title', Boolean(said));
  say('notice-title', said ? t(said[0]) : '');
  say('notice-more', said ? t(said[1]) : '');
}

function renderHint() {
  byId('line-dot').setAttribute('aria-label', t('lineLost'));
  byId('line-dot').title = t('lineLost');
  const isKnown = state.phase !== null && !isGone;
  const hint = !isKnown ? '' : !found.isStage ? t('viewer') : sound.isLocked() ? t('locked') : '';
  say('hint', hint);
  show('hint', hint !== '');
  document.documentElement.lang = language;
}
