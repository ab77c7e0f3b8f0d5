// The console page: login, the choice of an event, and the tabs around one event. Each tab has its
// own module.
//
// All tabs share one `app`: the event's state, the calls, the messages and the dialogs. The module
// of a tab exports a class Tab, made from the app when the tab is first opened: { element }, and as
// needed render(state), translate() after a change of language, opened() and handleKey(event).

import { call, fetchFile, Refusal } from "../shared/api.js";
import { connect } from "../shared/connection.js";
import { byId, make, setShown, setText, takeLinkToken } from "../shared/dom.js";
import { applyFrame, initialState } from "../shared/event.js";
import { translatePage } from "../shared/i18n.js";
import * as storage from "../shared/storage.js";
import { ask, showHelp } from "./dialog.js";
import { messages } from "./messages.js";

/** The tabs: name, module, and the least role that may open them. */
const TABS = [
  { name: 'show', load: () => import("./show.js"), role: 'host' },
  { name: 'prizes', load: () => import("./prizes.js"), role: 'host' },
  { name: 'people', load: () => import("./participants.js"), role: 'host' },
  { name: 'winners', load: () => import("./winners.js"), role: 'host' },
  { name: 'links', load: () => import("./links.js"), role: 'admin' },
  { name: 'event', load: () => import("./event.js"), role: 'admin' },
  { name: 'audit', load: () => import("./audit.js"), role: 'admin' },
];

const NOTE_MS = 6_000;
const NOTES_MAX = 4;
const BAD_TOKEN = 4401;
const NO_SUCH_EVENT = 4404;

const event = new URLSearchParams(location.search).get('event');
const linkKey = `host.${event}`;
const linkToken = takeLinkToken();
if (linkToken && event) storage.set(linkKey, linkToken);

const t = translatePage(messages, () => {
  renderTabs();
  render();
  for (const tab of built.values()) tab.translate?.();
});
const built = new Map();
let openTab = null;
let connection = null;

const app = {
  t,
  event,
  state: initialState,
  role: 'admin',
  token: null,
  /** Called with every frame, for tabs that need more than the state. */
  listeners: new Set(),
  /** Calls the server about this event: app.call('POST', 'draw/reveal', { draw_id }). */
  call: (method, path, body, options = {}) => call(method, `/admin/${event}/${path}`, { body, token: app.token, ...options }),
  /** Calls the server about all events. */
  callAll: (method, path, body) => call(method, path, { body, token: app.token }),
  fetchFile: (path) => fetchFile(`/admin/${event}/${path}`, { token: app.token }),
  /** Sends a message over the connection. */
  send: (message) => connection?.send(message),
  /** Steps of this console whose frames are to come; see takeStep. */
  ownSteps: [],
  /**
   * Runs a call that takes a step of the show, as attempt does: the frame that tells of it is then this
   * console's own.
   */
  async takeStep(step, work, success) {
    app.ownSteps.push(step);
    const data = await app.attempt(work, success);
    if (data === undefined) app.isOwnStep(step);
    return data;
  },
  /** True for a step that this console took, once. */
  isOwnStep(step) {
    const place = app.ownSteps.indexOf(step);
    if (place >= 0) app.ownSteps.splice(place, 1);
    return place >= 0;
  },
  /** Milliseconds until the planned moment of a draw, 0 without one. */
  untilShown: (draw) => connection?.untilShown(draw) ?? 0,
  untilRound: (draw) => connection?.untilRound(draw) ?? 0,
  notify,
  ask: (question) => ask(t, question),
  /** Runs a call and shows its failure; gives its data, or undefined when it failed. */
  async attempt(work, success) {
    try {
      const data = await work();
      if (success) notify(success, 'good');
      return data;
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      if (refusal.code === 'UNAUTHORIZED') return void leave();
      notify(explain(refusal), 'bad');
      return undefined;
    }
  },
};

/**
 * A refusal in this language: by its code where there is a message, else as the server words it.
 */
function explain(refusal) {
  const key = `why_${refusal.code}`;
  return messages.ko[key] ? t(key, refusal.message, refusal.detail) : t('refused', refusal.message || refusal.code);
}

/** Shows a short note at the foot of the page, which screen readers read out. */
function notify(text, kind = 'plain') {
  const note = make('p', { className: `note ${kind}` }, text);
  byId('notes').append(note);
  while (byId('notes').children.length > NOTES_MAX) byId('notes').firstChild.remove();
  setTimeout(() => note.remove(), NOTE_MS);
}

async function start() {
  wireHeader();
  await logInByLink();
  const token = event ? storage.get(linkKey) : null;
  const { logged_in: isLoggedIn } = await call('GET', '/admin/login').catch(() => ({ logged_in: false }));
  if (isLoggedIn) return enter('admin', null);
  if (token) return enter('host', token);
  showView('login');
  byId('login-token').focus();
}

function wireHeader() {
  byId('login-form').addEventListener('submit', logIn);
  byId('logout').addEventListener('click', async () => {
    if (event) storage.remove(linkKey);
    await call('POST', '/admin/logout').catch(() => null);
    location.reload();
  });
  byId('to-events').addEventListener('click', () => location.assign('/lottery/admin'));
  byId('help-button').addEventListener('click', () => showHelp(t));
  document.addEventListener('keydown', handleKey);
}

/** Exchanges the link that the server printed at its start for a login, which works once. */
async function logInByLink() {
  const link = new URLSearchParams(location.hash.slice(1)).get('login');
  if (!link) return;
  history.replaceState(null, '', location.pathname + location.search);
  await call('POST', '/admin/login', { body: { link } }).catch((refusal) => {
    setText('login-wrong', refusal.code === 'UNAUTHORIZED' ? t('usedLink') : explain(refusal));
  });
}

async function logIn(submit) {
  submit.preventDefault();
  setText('login-wrong', '');
  try {
    await call('POST', '/admin/login', { body: { token: byId('login-token').value.trim() } });
    // A browser that takes no cookie would be asked for the token again and again.
    const { logged_in: isLoggedIn } = await call('GET', '/admin/login');
    if (!isLoggedIn) return setText('login-wrong', t('noCookies'));
    byId('login-token').value = '';
    await enter('admin', null);
  } catch (refusal) {
    setText('login-wrong', refusal.code === 'UNAUTHORIZED' ? t('wrongToken') : explain(refusal));
    byId('login-token').select();
  }
}

/** Handles the keys of the console, unless somebody is typing or a dialog is open. */
function handleKey(key) {
  if (key.defaultPrevented || key.ctrlKey || key.metaKey || key.altKey || document.querySelector('dialog[open]')) return;
  if (key.target.closest?.('input, textarea, select')) return;
  if (key.key === '?') return void showHelp(t);
  const place = Number(key.key);
  const tabs = allowedTabs();
  if (event && place >= 1 && place <= tabs.length) return void open(tabs[place - 1].name);
  built.get(openTab)?.handleKey?.(key);
}

async function enter(role, token) {
  Object.assign(app, { role, token });
  setShown('to-events', role === 'admin' && Boolean(event));
  setShown('top', true);
  if (!event) {
    const { EventList } = await import("./events.js");
    showView('events');
    byId('events').replaceChildren(new EventList(app).element);
    return;
  }
  showView('panel');
  renderTabs();
  connection = connect({ event, role: 'admin', token, onFrame: handleFrame, onStatus: handleStatus });
  const lastTab = storage.get('console.tab');
  await open(allowedTabs().some((tab) => tab.name === lastTab) ? lastTab : 'show');
}

/** Returns to the login after a revoked link or an ended login. */
function leave() {
  connection?.close();
  if (event) storage.remove(linkKey);
  showView('login');
}

function handleFrame(frame) {
  const before = app.state;
  app.state = applyFrame(before, frame);
  if (frame.type === 'notice') notify(frame.message ?? frame.code);
  for (const listener of app.listeners) listener(frame);
  if (app.state !== before) render();
}

function handleStatus({ status, code }) {
  byId('connection').dataset.connection = status;
  setText('connection-text', t(`connection_${status}`));
  // Without a socket no frame tells of a step.
  if (status !== 'live') app.ownSteps = [];
  if (status !== 'ended') return;
  if (code === NO_SUCH_EVENT) notify(t('why_EVENT_NOT_FOUND'), 'bad');
  if (code === BAD_TOKEN) leave();
}

const allowedTabs = () => TABS.filter((tab) => tab.role === 'host' || app.role === 'admin');

function renderTabs() {
  if (byId('panel').hidden) return;
  setShown('tabs', true);
  byId('tabs').replaceChildren(...allowedTabs().map(tabButton));
}

function tabButton({ name }, place) {
  const isOpen = name === openTab;
  const properties = {
    type: 'button',
    id: `tab-${name}`,
    role: 'tab',
    'aria-selected': String(isOpen),
    'aria-controls': 'panel',
    tabIndex: isOpen ? 0 : -1,
    title: String(place + 1),
    onclick: () => open(name),
    onkeydown: (key) => moveBetweenTabs(key, place),
  };
  return make('button', properties, t(`tab_${name}`));
}

/** Moves between tabs by the arrow keys, as screen readers expect it. */
function moveBetweenTabs(key, place) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[key.key];
  if (!by) return;
  key.preventDefault();
  const tabs = allowedTabs();
  open(tabs[(place + by + tabs.length) % tabs.length].name).then(() => byId(`tab-${openTab}`).focus());
}

async function open(name) {
  if (!built.has(name)) {
    const { Tab } = await TABS.find((tab) => tab.name === name).load();
    if (!built.has(name)) built.set(name, new Tab(app));
  }
  openTab = name;
  storage.set('console.tab', name);
  renderTabs();
  const tab = built.get(name);
  byId('panel').dataset.tab = name;
  byId('panel').setAttribute('aria-labelledby', `tab-${name}`);
  byId('panel').replaceChildren(tab.element);
  tab.render?.(app.state);
  tab.opened?.();
}

function render() {
  const { state } = app;
  if (event) setText('event-title', state.title || event);
  setShown('rehearsal-mark', Boolean(state.rehearsal));
  setShown('phase', Boolean(state.phase));
  if (state.phase) setText('phase', t(`phase_${state.phase}`));
  byId('phase').dataset.phase = state.phase ?? '';
  document.body.dataset.rehearsal = String(Boolean(state.rehearsal));
  built.get(openTab)?.render?.(state);
}

function showView(name) {
  document.body.dataset.view = name;
  for (const section of ['login', 'events', 'panel']) setShown(section, section === name);
  setShown('top', name !== 'login');
  if (name !== 'panel') setShown('tabs', false);
}

start();
