// How to join: the QR code, the short address below it, and how many are here.

import { call } from "../shared/api.js";
import { byId, say, show } from "../shared/dom.js";

/** A title of more letters is set in smaller type. */
const TITLE_SHORT = 28;

/** Gives { find(), render(state, t) }. `event`: the event's id. */
export function makeLobby(event) {
  const scheme = location.protocol.slice(0, -1);
  const code = byId('code');
  let isFound = false;

  return {
    /** Asks for the address once; again after a failure, whenever the line is back. */
    async find() {
      if (isFound) return;
      isFound = true;
      try {
        const { join_address: address } = await call('GET', `/join?event_id=${event}&scheme=${scheme}`);
        // People type it into a phone, which adds the scheme by itself.
        say('address', address.replace(/^https?:\/\//, ''));
        code.src = `/api/luckydraw/join.svg?event_id=${event}&scheme=${scheme}`;
      } catch {
        isFound = false;
      }
    },
    render(state, t) {
      const isOpen = state.registration_open;
      say('welcome', state.title);
      byId('welcome').dataset.size = state.title.length > TITLE_SHORT ? 'long' : 'short';
      say('lead', t(isOpen ? 'scan' : 'late'));
      say('lead-more', t(isOpen ? 'scanned' : 'lateMore'));
      count('count', state.participant_count);
      count('connected', state.connection_count);
      say('entry-code', state.entry_code ?? '');
      show('entry', Boolean(state.entry_code) && isOpen);
    },
  };
}

/** A count that jumps a little when it grows. */
function count(id, value) {
  const element = byId(id);
  const text = value.toLocaleString();
  if (element.textContent === text) return;
  const isFirst = element.textContent === '';
  element.textContent = text;
  if (!isFirst && !matchMedia('(prefers-reduced-motion: reduce)').matches) {
    element.animate([{ transform: 'scale(1.09)' }, { transform: 'none' }], { duration: 260, easing: 'ease-out' });
  }
}
