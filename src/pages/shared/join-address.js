// The address by which phones join, as the server finds it now: the network of a hall may change
// while the page is open, and an old QR code would lead nowhere.

import { call } from "./api.js";

const EVERY_MS = 10_000;

export class JoinAddress {
  /** `onChange()`: called with each other address. */
  constructor(event, onChange) {
    Object.assign(this, { event, onChange });
    /** The address without its scheme, as people type it; null before the first answer. */
    this.text = null;
    /** False when only the server's own machine reaches it: a page must say so. */
    this.isReachable = true;
    this.timer = null;
  }

  async load() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), EVERY_MS);
    if (document.visibilityState === 'hidden') return;
    const query = `event_id=${this.event}&scheme=${location.protocol.slice(0, -1)}`;
    try {
      const { join_address: address, is_reachable: isReachable } = await call('GET', `/join?${query}`);
      const text = address.replace(/^https?:\/\//, '');
      if (text === this.text && isReachable === this.isReachable) return;
      Object.assign(this, { text, isReachable });
      this.onChange();
    } catch {
      // The next attempt follows.
    }
  }

  stop() {
    clearTimeout(this.timer);
  }
}
