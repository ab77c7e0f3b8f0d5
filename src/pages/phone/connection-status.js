// The strip that says how the line is: nothing while all is well, and never less than the truth.

import { say, show } from "../shared/dom.js";

const BACK_SHOWN_MS = 2_500;
/** A line that opens at once needs no word about it. */
const CONNECTING_SHOWN_MS = 2_000;

/** The strip; t gives its words. Gives { take(status), show() }: take hears what the line says of itself. */
export function lineStrip(t) {
  let status = { line: 'opening', isPortal: false };
  let wasLost = false;
  let timer = null;

  function render() {
    const { line, isPortal } = status;
    const isDown = line === 'waiting' || line === 'connecting';
    const isBack = line === 'live' && wasLost;
    const words = { waiting: 'lineWaiting', connecting: 'lineConnecting', polling: 'linePolling', live: 'lineLive' };
    const key = isPortal ? 'linePortal' : isDown && navigator.onLine === false ? 'lineOffline' : words[line];
    document.body.dataset.line = isPortal ? 'portal' : line;
    show('line', isDown || isPortal || line === 'polling' || isBack);
    if (key) say('line', t(key));
  }

  function take(told) {
    clearTimeout(timer);
    if (told.line === 'connecting') {
      // Between two tries the strip goes on saying what it said.
      if (wasLost) return;
      timer = setTimeout(() => {
        wasLost = true;
        status = told;
        render();
      }, CONNECTING_SHOWN_MS);
      return;
    }
    if (told.line === 'waiting' || told.line === 'polling') wasLost = true;
    if (told.line === 'live' && wasLost) {
      timer = setTimeout(() => {
        wasLost = false;
        render();
      }, BACK_SHOWN_MS);
    }
    status = told;
    render();
  }

  return { take, show: render };
}
