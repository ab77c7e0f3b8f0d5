// View of the stage: derives the scene from the model and renders it. Scenes are pure, so that a
// reload, a lost connection and a live frame all lead to the same picture.

import { byId, setShown, setText } from "../shared/dom.js";
import { showCode } from "../shared/join-code.js";
import { Pool } from "./pool.js";
import { renderBoard, renderPrize, renderStrip } from "./prize.js";

const SCENE_OF_STATUS = { standby: 'standby', started: 'running', revealed: 'revealed' };
const DRAW_SCENES = ['standby', 'running', 'revealed', 'announced'];
const NOTICE_SCENES = ['connecting', 'cancelled', 'over', 'none'];
/** Scenes that a cancellation may cover. */
const QUIET_SCENES = ['lobby', 'between', 'announced'];
const NOTICES = {
  cancelled: ['cancelled', 'cancelledMore'],
  over: ['over', 'overMore'],
  none: ['nothing', 'nothingMore'],
};
const { body } = document;

/**
 * The scene of a state: { name, draw }. name: 'connecting' (no frame yet), 'lobby', 'standby',
 * 'running', 'revealed', 'announced', 'between', 'over' or 'empty' (of an overlay without a draw).
 */
export function sceneOf({ state, screen }) {
  if (state.phase === null) return { name: 'connecting', draw: null };
  if (screen === 'entrance' || screen === 'winners') return { name: state.phase === 'closed' ? 'over' : screen === 'winners' ? 'between' : 'lobby', draw: null };
  if (state.current) return { name: SCENE_OF_STATUS[state.current.status], draw: state.current };
  if (state.announced) return { name: 'announced', draw: state.announced };
  if (state.phase === 'closed') return { name: 'over', draw: null };
  if (screen === 'overlay') return { name: 'empty', draw: null };
  return { name: screen === 'main' && state.results.length > 0 ? 'between' : 'lobby', draw: null };
}

export function renderStage(model, { animator, lobby, sound, proof }, t) {
  const { state, screen } = model;
  const scene = sceneOf(model);
  const { draw } = scene;
  body.dataset.screen = screen;
  body.dataset.mode = draw?.draw_mode ?? '';
  body.dataset.draw = draw?.draw_id ?? '';
  // The sections first: an animation measures itself in them.
  showSections(visibleScene(model, scene, animator));
  animator.present(scene, poolOf(model, draw));
  const name = visibleScene(model, scene, animator);
  showSections(name);
  body.dataset.settled = animator.isSettled;
  body.dataset.role = model.isDisplay ? 'stage' : 'viewer';
  body.dataset.sound = sound.isMuted ? 'muted' : sound.isLocked ? 'locked' : 'on';
  renderBar(state, name, t);
  if (name === 'lobby') lobby?.render(state, t);
  // What the frame says of lock and code gives way to what this stage heard and computed.
  const shown = draw?.draw_id ? { ...draw, ...proof.of(draw) } : draw;
  if (draw) renderDraw(model, shown, name, animator.isSettled, t);
  renderProofCode(model, shown, name, animator.isSettled);
  if (name === 'between') renderBoard(earlierResults(state, null), t);
  renderNotice(name, t);
  const showsStrip = screen === 'main' && (name === 'standby' || (name === 'announced' && draw.draw_mode !== 'list'));
  renderStrip(showsStrip ? earlierResults(state, draw) : [], t);
  renderHint(model, sound, t);
}

/** The numbers that can win a draw; on a page that is not told, those of all participants. */
const poolOf = ({ pool, state }, draw) => (pool && pool.draw_id === draw?.draw_id ? pool.numbers : Pool.upTo(state.participant_count));

/** Name of the visible scene. */
function visibleScene({ state, isGone, cancelledUntil }, { name }, { isSettled }) {
  const now = performance.now();
  if (isGone) return state.phase === null ? 'none' : 'over';
  if (name === 'connecting') return name;
  if (now < cancelledUntil && QUIET_SCENES.includes(name)) return 'cancelled';
  if (body.dataset.code !== undefined && name !== 'running' && name !== 'revealed') return 'lobby';
  // The animation runs to its end, whenever the announcement arrives.
  return name === 'announced' && !isSettled ? 'revealed' : name;
}

function showSections(name) {
  body.dataset.state = name;
  setShown('draw', DRAW_SCENES.includes(name));
  setShown('lobby', name === 'lobby');
  setShown('board', name === 'between');
  setShown('notice', NOTICE_SCENES.includes(name));
}

/** Results other than this draw's, the latest first. */
const earlierResults = (state, draw) => state.results.filter((result) => result.draw_id !== draw?.draw_id).reverse();

function renderBar(state, name, t) {
  setText('title', state.title || t('page'));
  setShown('rehearsal', Boolean(state.rehearsal));
  setShown('figures', state.phase !== null && name !== 'lobby');
  setText('bar-count', state.participant_count.toLocaleString());
  setText('bar-connected', (state.phones_connected ?? state.connection_count).toLocaleString());
}

function renderDraw({ page, count }, draw, name, isSettled, t) {
  renderPrize(draw, t);
  setShown('kicker', name === 'standby');
  const captions = {
    running: draw.redraw_of ? 'redrawing' : 'running',
    revealed: isSettled ? 'won' : 'revealing',
    announced: draw.redraw_of ? 'wonAgain' : 'won',
  };
  setText('caption', name === 'revealed' && count !== null ? count : t(captions[name] ?? 'ready'));
  setText('remark', name === 'running' ? lockText(draw, t) : isSettled ? remark(draw, name, page, t) : '');
}

/** The size of the pool, eight characters of the lock, and the outside value or the call for it. */
function lockText({ head, pool_size: size, outside, outside_value: value, outside_round: round, fallback }, t) {
  if (!head) return '';
  const lock = t('lock', size.toLocaleString(), `${head.slice(0, 4)} ${head.slice(4, 8)}`);
  const source = fallback ?? outside;
  if (source === 'none') return fallback ? `${t('gaveUp')} · ${lock}` : lock;
  if (source === 'hall') return `${value ? t('words', value) : t('callWords')} · ${lock}`;
  return `${t(value ? 'roundCame' : 'round', round)} · ${lock}`;
}

/** A code that leads to the proof, with the head that this stage heard before anybody knew the winners. */
function renderProofCode({ event }, draw, name, isSettled) {
  const isShown = name === 'announced' && isSettled && Boolean(draw.head);
  setShown('proof-code', isShown);
  if (!isShown) return;
  const query = new URLSearchParams({ event_id: event, head: draw.head, scheme: location.protocol.slice(0, -1) });
  const source = `/api/luckydraw/verify.svg?${query}`;
  const image = byId('proof-code');
  if (image.getAttribute('src') !== source) showCode(image, source);
}

function remark(draw, name, [page, pages], t) {
  const code = draw.code ? t('codeOf', `${draw.code.slice(0, 4)} ${draw.code.slice(4)}`) : '';
  return [remarkOf(draw, name, [page, pages], t), code].filter(Boolean).join(' · ');
}

function remarkOf(draw, name, [page, pages], t) {
  if (draw.draw_mode === 'list' && pages > 1) return `${t('allSeats', draw.winners.length)} · ${t('pageOf', page, pages)}`;
  if (draw.voided?.length > 0) return t('voidedMore');
  return name === 'announced' ? t('wonMore') : '';
}

function renderNotice(name, t) {
  const [title, more] = NOTICES[name] ?? [];
  setShown('notice-title', Boolean(title));
  setText('notice-title', title ? t(title) : '');
  setText('notice-more', more ? t(more) : '');
}

function renderHint({ state, isGone, isDisplay }, sound, t) {
  byId('connection-dot').setAttribute('aria-label', t('connectionLost'));
  byId('connection-dot').title = t('connectionLost');
  const isKnown = state.phase !== null && !isGone;
  const hint = !isKnown ? '' : !isDisplay ? t('viewer') : sound.isLocked ? t('locked') : '';
  setText('hint', hint);
  setShown('hint', hint !== '');
}
