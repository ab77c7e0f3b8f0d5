// Lobby of the stage: the QR code to join, its short address, and the counts of people.

import { call } from "../shared/api.js";
import { byId, setShown, setText } from "../shared/dom.js";
import { JoinCode, joinImage } from "../shared/join-code.js";

/** Longest title in the large type. */
const TITLE_CHARS_SHORT = 28;

export class Lobby {
  constructor(event) {
    this.event = event;
    this.hasAddress = false;
    this.joinCode = new JoinCode(() => this.showImage());
  }

  /** Fetches the address once; again after a failure, whenever the connection is back. */
  async loadAddress() {
    if (this.hasAddress) return;
    this.hasAddress = true;
    const query = `event_id=${this.event}&scheme=${location.protocol.slice(0, -1)}`;
    try {
      const { join_address: address } = await call('GET', `/join?${query}`);
      // People type it into a phone, which adds the scheme itself.
      setText('address', address.replace(/^https?:\/\//, ''));
      this.showImage();
    } catch {
      this.hasAddress = false;
    }
  }

  /** Shows the QR code, once the server was reached. */
  showImage() {
    if (this.hasAddress) byId('code').src = joinImage(this.event, this.joinCode.code);
  }

  render(state, t) {
    const isOpen = state.registration_open;
    setText('welcome', state.title);
    byId('welcome').dataset.size = state.title.length > TITLE_CHARS_SHORT ? 'long' : 'short';
    setText('lead', t(isOpen ? 'scan' : 'late'));
    setText('lead-more', t(isOpen ? 'scanned' : 'lateMore'));
    setCount('count', state.participant_count);
    setCount('connected', state.connection_count);
    setText('entry-code', state.entry_code ?? '');
    setShown('entry', Boolean(state.entry_code) && isOpen);
  }
}

/** Sets a count, which jumps a little when it changes. */
function setCount(id, value) {
  const element = byId(id);
  const text = value.toLocaleString();
  if (element.textContent === text) return;
  const isFirst = element.textContent === '';
  element.textContent = text;
  if (!isFirst && !matchMedia('(prefers-reduced-motion: reduce)').matches) {
    element.animate([{ transform: 'scale(1.09)' }, { transform: 'none' }], { duration: 260, easing: 'ease-out' });
  }
}
