// Status of the connection at the top of the phone: hidden while all is well, and never better than
// the truth.

import { setShown, setText } from "../shared/dom.js";

const BACK_SHOWN_MS = 2_500;
/** A connection that opens within this time needs no mention. */
const CONNECTING_SHOWN_MS = 2_000;

const MESSAGES = {
  waiting: 'connectionWaiting',
  connecting: 'connectionConnecting',
  polling: 'connectionPolling',
  live: 'connectionLive',
};

/** Gives { update(status), render() }; update takes what the connection reports. */
export function connectionStatus(t) {
  let current = { status: 'opening', isPortal: false };
  let wasLost = false;
  let timer = null;

  function render() {
    const { status, isPortal } = current;
    const isDown = status === 'waiting' || status === 'connecting';
    const isBack = status === 'live' && wasLost;
    const key = isPortal ? 'connectionPortal' : isDown && navigator.onLine === false ? 'connectionOffline' : MESSAGES[status];
    document.body.dataset.connection = isPortal ? 'portal' : status;
    setShown('connection', isDown || isPortal || status === 'polling' || isBack);
    if (key) setText('connection', t(key));
  }

  function update(next) {
    clearTimeout(timer);
    if (next.status === 'connecting') {
      // Between two attempts the last status stays.
      if (wasLost) return;
      timer = setTimeout(() => {
        wasLost = true;
        current = next;
        render();
      }, CONNECTING_SHOWN_MS);
      return;
    }
    if (next.status === 'waiting' || next.status === 'polling') wasLost = true;
    if (next.status === 'live' && wasLost) {
      timer = setTimeout(() => {
        wasLost = false;
        render();
      }, BACK_SHOWN_MS);
    }
    current = next;
    render();
  }

  return { update, render };
}
