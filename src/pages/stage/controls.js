// The operator's hand on the stage: keys, buttons that vanish when nobody moves, full screen, the black screen and the help.

import { byId, show } from "../shared/dom.js";

const VANISH_MS = 2_800;

/** Wires keys and buttons. `sound` as made by stage-sound; `turn(by)` turns a list's page; `changed()` after the code was asked for. */
export function wireControls({ sound, turn, changed }) {
  const { body } = document;
  const help = byId('help');
  let vanish = null;

  function stir() {
    body.dataset.controls = 'shown';
    clearTimeout(vanish);
    vanish = setTimeout(() => {
      delete body.dataset.controls;
    }, VANISH_MS);
  }

  function toggleFull() {
    const done = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen?.({ navigationUI: 'hide' });
    // A browser may refuse; the stage is as good in a window.
    done?.catch(() => {});
  }

  function toggleBlack() {
    const isBlack = body.dataset.black === undefined;
    if (isBlack) body.dataset.black = '';
    else delete body.dataset.black;
    show('black', isBlack);
  }

  function toggleHelp() {
    if (help.open) help.close();
    else help.showModal();
  }

  function toggleCode() {
    if (body.dataset.code === undefined) body.dataset.code = 'asked';
    else delete body.dataset.code;
    changed();
  }

  const actions = {
    full: toggleFull,
    mute: () => sound.toggle(),
    black: toggleBlack,
    code: toggleCode,
    help: toggleHelp,
  };
  const KEYS = { KeyF: 'full', KeyM: 'mute', KeyB: 'black', KeyQ: 'code' };

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    sound.unlock();
    // By the key's place: a Korean keyboard sends other letters from it.
    const action = event.key === '?' ? 'help' : KEYS[event.code];
    if (event.repeat) return;
    if (action) {
      event.preventDefault();
      actions[action]();
    } else if (event.key === 'Escape' && body.dataset.black !== undefined) {
      toggleBlack();
    } else if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      turn(event.key === 'ArrowRight' ? 1 : -1);
    }
  });

  document.addEventListener('click', (event) => {
    const isFirst = sound.isLocked();
    sound.unlock();
    const button = event.target.closest('button');
    const action = button?.dataset.action;
    if (action) actions[action]();
    else if (isFirst && !button && !help.open && !document.fullscreenElement) toggleFull();
    else if (body.dataset.black !== undefined) toggleBlack();
  });
  document.addEventListener('visibilitychange', stayAwake);
  stayAwake();
  document.addEventListener('pointermove', stir, { passive: true });
  document.addEventListener('focusin', stir);
}

/** Asks that the screen of the stage does not go to sleep; a browser lets go of it whenever the page is hidden. */
function stayAwake() {
  if (document.visibilityState === 'hidden') return;
  // Refused on a low battery or without TLS: then the operator's own settings hold.
  navigator.wakeLock?.request('screen').catch(() => {});
}
