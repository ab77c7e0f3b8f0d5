// The console: login, the choice of an event, and the tabs around one event. What each tab does stands in a module of its own.
//
// All tabs share one `desk`: the event's state as frames tell it, the calls, the words and the dialogs. A tab is a module that exports
// build(desk) and gives { element, render(state), opened() }; it is loaded when it is first opened.

import { call, fetchFile, Refusal } from "../shared/api.js";
import { ask, help } from "./dialog.js";
import { words } from "./messages.js";
import { after, unknown } from "../shared/event.js";
import { speak } from "../shared/i18n.js";
import { connect } from "../shared/connection.js";
import { forget, recall, remember } from "../shared/storage.js";
import { byId, make, say, secretOfLink, show } from "../shared/dom.js";

/** The tabs: name, module, and the least right it takes. */
const TABS = [
  { name: 'show', load: () => import("./show.js"), rank: 'host' },
  { name: 'prizes', load: () => import("./prizes.js"), rank: 'host' },
  { name: 'people', load: () => import("./participants.js"), rank: 'host' },
  { name: 'winners', load: () => import("./winners.js"), rank: 'host' },
  { name: 'links', load: () => import("./links.js"), rank: 'admin' },
  { name: 'event', load: () => import("./event.js"), rank: 'admin' },
  { name: 'audit', load: () => import("./audit.js"), rank: 'admin' },
];

const NOTE_MS = 6_000;
const NOTES_MAX = 4;

const event = new URLSearchParams(location.search).get('event');
const secret = secretOfLink('token');
if (secret && event) remember(`host.${event}`, secret);

const t = speak(words, () => {
  renderTabs();
  render();
  for (const tab of built.values()) tab.reworded?.();
});
const built = new Map();
let opened = null;
let line = null;

/** What all tabs share. */
const desk = {
  t,
  event,
  state: unknown,
  rank: 'admin',
  token: null,
  /** Frames other than those that only count, for tabs that keep more than the state. */
  listeners: new Set(),
  /** Calls the server about this event: desk.call('POST', 'draw/reveal', { draw_id }). */
  call: (method, path, body, more = {}) => call(method, `/admin/${event}/${path}`, { body, token: desk.token, ...more }),
  /** Calls the server about all events. */
  callAll: (method, path, body) => call(method, path, { body, token: desk.token }),
  file: (path) => fetchFile(`/admin/${event}/${path}`, { token: desk.token }),
  note,
  ask: (question) => ask(t, question),
  /** Runs a call, tells of its failure in words, and gives its data, or undefined when it failed. */
  async attempt(work, done) {
    try {
      const data = await work();
      if (done) note(done, 'good');
      return data;
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      if (refusal.code === 'UNAUTHORIZED') return void leave();
      note(explain(refusal), 'bad');
      return undefined;
    }
  },
};

/** A refusal in this language: by its code where we have words for it, else as the server says it. */
function explain(refusal) {
  const key = `why_${refusal.code}`;
  return words.ko[key] ? t(key, refusal.message) : t('refused', refusal.message || refusal.code);
}

/** A short word at the foot of the page, read out by screen readers. */
function note(text, kind = 'plain') {
  const line = make('p', { className: `note ${kind}` }, text);
  byId('notes').append(line);
  while (byId('notes').children.length > NOTES_MAX) byId('notes').firstChild.remove();
  setTimeout(() => line.remove(), NOTE_MS);
}

async function start() {
  bindTop();
  const link = event ? recall(`host.${event}`) : null;
  const { logged_in: isIn } = await call('GET', '/admin/login').catch(() => ({ logged_in: false }));
  if (isIn) return enter('admin', null);
  if (link) return enter('host', link);
  view('login');
  byId('login-token').focus();
}

function bindTop() {
  byId('login-form').addEventListener('submit', async (submitted) => {
    submitted.preventDefault();
    say('login-wrong', '');
    try {
      await call('POST', '/admin/login', { body: { token: byId('login-token').value.trim() } });
      byId('login-token').value = '';
      await enter('admin', null);
    } catch (refusal) {
      say('login-wrong', refusal.code === 'UNAUTHORIZED' ? t('wrongToken') : explain(refusal));
      byId('login-token').select();
    }
  });
  byId('logout').addEventListener('click', async () => {
    if (event) forget(`host.${event}`);
    await call('POST', '/admin/logout').catch(() => null);
    location.reload();
  });
  byId('to-events').addEventListener('click', () => location.assign('/lottery/admin'));
  byId('help-button').addEventListener('click', () => help(t));
  document.addEventListener('keydown', keyed);
}

/** Keys that hold everywhere, unless somebody is typing or a dialog is open. */
function keyed(pressed) {
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey || document.querySelector('dialog[open]')) return;
  if (pressed.target.closest?.('input, textarea, select')) return;
  if (pressed.key === '?') return void help(t);
  const place = Number(pressed.key);
  const tabs = tabsAllowed();
  if (desk.event && place >= 1 && place <= tabs.length) return void open(tabs[place - 1].name);
  built.get(opened)?.keyed?.(pressed);
}

async function enter(rank, token) {
  desk.rank = rank;
  desk.token = token;
  show('to-events', rank === 'admin' && Boolean(event));
  show('top', true);
  if (!event) {
    const { build } = await import("./events.js");
    view('events');
    byId('events').replaceChildren(build(desk).element);
    return;
  }
  view('panel');
  renderTabs();
  line = connect({ event, role: 'admin', token, onFrame: heard, onStatus: status });
  const wanted = recall('console.tab');
  await open(tabsAllowed().some((tab) => tab.name === wanted) ? wanted : 'show');
}

/** The rights are gone: a revoked link or an ended login. */
function leave() {
  line?.close();
  if (event) forget(`host.${event}`);
  view('login');
}

function heard(frame) {
  const before = desk.state;
  desk.state = after(before, frame);
  if (frame.type === 'notice') note(frame.message ?? frame.code);
  for (const listen of desk.listeners) listen(frame);
  if (desk.state !== before) render();
}

function status({ line: how, code }) {
  byId('line').dataset.line = how;
  say('line-text', t(`line_${how}`));
  if (how !== 'ended') return;
  if (code === 4404) note(t('why_EVENT_NOT_FOUND'), 'bad');
  if (code === 4401) leave();
}

const tabsAllowed = () => TABS.filter((tab) => tab.rank === 'host' || desk.rank === 'admin');

function renderTabs() {
  if (byId('panel').hidden) return;
  show('tabs', true);
  byId('tabs').replaceChildren(
    ...tabsAllowed().map(({ name }, place) =>
      make(
        'button',
        {
          type: 'button',
          id: `tab-${name}`,
          role: 'tab',
          'aria-selected': String(name === opened),
          'aria-controls': 'panel',
          tabIndex: name === opened ? 0 : -1,
          title: String(place + 1),
          onclick: () => open(name),
          onkeydown: (pressed) => step(pressed, place),
        },
        t(`tab_${name}`),
      ),
    ),
  );
}

/** Left and right between tabs, as screen readers expect it. */
function step(pressed, place) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[pressed.key];
  if (!by) return;
  pressed.preventDefault();
  const tabs = tabsAllowed();
  open(tabs[(place + by + tabs.length) % tabs.length].name).then(() => byId(`tab-${opened}`).focus());
}

async function open(name) {
  if (!built.has(name)) {
    const { build } = await TABS.find((tab) => tab.name === name).load();
    if (!built.has(name)) built.set(name, build(desk));
  }
  opened = name;
  remember('console.tab', name);
  renderTabs();
  byId('panel').dataset.tab = name;
  byId('panel').setAttribute('aria-labelledby', `tab-${name}`);
  byId('panel').replaceChildren(built.get(name).element);
  built.get(name).render?.(desk.state);
  built.get(name).opened?.();
}

function render() {
  const { state } = desk;
  if (event) say('event-title', state.title || event);
  show('rehearsal-mark', Boolean(state.rehearsal));
  show('phase', Boolean(state.phase));
  if (state.phase) say('phase', t(`phase_${state.phase}`));
  byId('phase').dataset.phase = state.phase ?? '';
  document.body.dataset.rehearsal = String(Boolean(state.rehearsal));
  built.get(opened)?.render?.(state);
}

function view(name) {
  document.body.dataset.view = name;
  for (const section of ['login', 'events', 'panel']) show(section, section === name);
  show('top', name !== 'login');
  if (name !== 'panel') show('tabs', false);
}

start();
