// Lobby of the stage: the QR code to join, its short address, and the counts of people.

import { byId, setShown, setText } from "../shared/dom.js";
import { JoinAddress } from "../shared/join-address.js";
import { JoinCode, joinImage, showCode } from "../shared/join-code.js";

/** Longest title in the large type. */
const TITLE_CHARS_SHORT = 28;

export class Lobby {
  constructor(event) {
    this.event = event;
    this.joinCode = new JoinCode(() => this.showImage());
    this.address = new JoinAddress(event, () => this.showImage());
  }

  /** Asks for the address now, and from then on again and again: networks come and go. */
  loadAddress() {
    this.address.load();
  }

  /** Shows the address and its QR code, once the server was reached. */
  showImage() {
    const { text, isReachable } = this.address;
    if (text === null) return;
    setText('address', text);
    setShown('unreachable', !isReachable);
    showCode(byId('code'), joinImage(this.event, this.joinCode.code, text));
  }

  render(state, t) {
    const isOpen = state.registration_open;
    setText('welcome', state.title);
    byId('welcome').dataset.size = state.title.length > TITLE_CHARS_SHORT ? 'long' : 'short';
    setText('lead', t(isOpen ? 'scan' : 'late'));
    setText('lead-more', t(isOpen ? 'scanned' : 'lateMore'));
    setCount('count', state.participant_count);
    setCount('connected', state.phones_connected ?? state.connection_count);
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
