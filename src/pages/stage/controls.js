// Controls of the operator on the stage: keys, buttons that hide while nobody moves, full screen,
// the black screen and the help.

import { byId, setShown } from "../shared/dom.js";

const HIDE_AFTER_MS = 2_800;
const { body } = document;

/** By the key's place: a Korean keyboard sends other letters from it. */
const KEYS = { KeyF: 'full', KeyM: 'mute', KeyB: 'black', KeyQ: 'code', Period: 'black' };
/** Arrows, and the keys of a presenter's clicker. */
const FORWARD = ['ArrowRight', 'PageDown'];
const BACK = ['ArrowLeft', 'PageUp'];

/**
 * Wires keys and buttons. `turnPage(by)` turns a list's page; `onCode()` follows a change of the QR
 * code's switch. Returns `set({ isBlack, isMuted, showsCode })`, which sets what is given.
 */
export function wireControls({ sound, turnPage, onCode }) {
  const actions = {
    full: toggleFullScreen,
    mute: () => sound.toggleMute(),
    black: toggleBlack,
    help: toggleHelp,
    code() {
      toggleFlag('code');
      onCode();
    },
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    sound.unlock();
    const action = event.key === '?' ? 'help' : KEYS[event.code];
    if (event.repeat) return;
    if (action) {
      event.preventDefault();
      actions[action]();
    } else if (event.key === 'Escape' && isBlack()) {
      toggleBlack();
    } else if (FORWARD.includes(event.key) || BACK.includes(event.key)) {
      turnPage(FORWARD.includes(event.key) ? 1 : -1);
    }
  });
  document.addEventListener('click', (event) => {
    const isFirst = sound.isLocked;
    sound.unlock();
    const button = event.target.closest('button');
    const action = button?.dataset.action;
    if (action) actions[action]();
    else if (isFirst && !button && !byId('help').open && !document.fullscreenElement) toggleFullScreen();
    else if (isBlack()) toggleBlack();
  });
  document.addEventListener('visibilitychange', keepScreenOn);
  keepScreenOn();
  document.addEventListener('pointermove', showControls, { passive: true });
  document.addEventListener('focusin', showControls);
  return {
    set({ isBlack: toBlack, isMuted, showsCode }) {
      if (toBlack !== undefined && toBlack !== isBlack()) toggleBlack();
      if (isMuted !== undefined) sound.setMuted(isMuted);
      if (showsCode !== undefined && showsCode !== (body.dataset.code !== undefined)) actions.code();
    },
  };
}

let hideTimer = null;

function showControls() {
  body.dataset.controls = 'shown';
  clearTimeout(hideTimer);
  hideTimer = setTimeout(() => delete body.dataset.controls, HIDE_AFTER_MS);
}

function toggleFullScreen() {
  const { documentElement: root, fullscreenElement } = document;
  const done = fullscreenElement ? document.exitFullscreen() : root.requestFullscreen?.({ navigationUI: 'hide' });
  // A browser may refuse; the stage works in a window too.
  done?.catch(() => {});
}

const isBlack = () => body.dataset.black !== undefined;

function toggleBlack() {
  toggleFlag('black');
  setShown('black', isBlack());
}

function toggleFlag(name) {
  if (body.dataset[name] === undefined) body.dataset[name] = '';
  else delete body.dataset[name];
}

function toggleHelp() {
  const help = byId('help');
  if (help.open) help.close();
  else help.showModal();
}

/** Keeps the screen on; a browser releases the lock whenever the page is hidden. */
function keepScreenOn() {
  if (document.visibilityState === 'hidden') return;
  // Refused on a low battery or without TLS: the operator's own settings then apply.
  navigator.wakeLock?.request('screen').catch(() => {});
}
