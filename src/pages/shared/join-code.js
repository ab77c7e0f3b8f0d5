// The code to join with, of an event whose entry code changes with the time. A page that shows the QR
// code asks for the present one over its own connection, and again when the next one is due.

/** Time after which an answer counts as lost. */
const RETRY_MS = 3_000;

export class JoinCode {
  /** `onChange(code)`: called with each new code; null while the event has none. */
  constructor(onChange) {
    this.onChange = onChange;
    this.code = null;
    this.timer = null;
  }

  /** Follows the event: `rotates`: its code does; `send(message)`: sends over the connection. */
  follow(rotates, send) {
    if (!rotates) this.receive({ join_code: null });
    else if (this.timer === null) this.ask(send);
  }

  ask(send) {
    this.timer = setTimeout(() => this.ask(send), RETRY_MS);
    send({ type: 'join_code' });
  }

  /** Takes the server's answer. */
  receive({ join_code: code, next_in_ms: nextMs }, send) {
    clearTimeout(this.timer);
    this.timer = code ? setTimeout(() => this.ask(send), nextMs) : null;
    if (code === this.code) return;
    this.code = code;
    this.onChange(code);
  }
}

/** Shows a QR code in an image, and asks for it again while the server has others to draw. */
export function showCode(image, source) {
  image.onerror = () => setTimeout(() => image.getAttribute('src') === source && (image.src = source), RETRY_MS);
  image.src = source;
}

/**
 * The address of the QR code of an event, with its present code. `address`: what it leads to, so that
 * the image of another address is another one.
 */
export function joinImage(event, code, address) {
  const query = new URLSearchParams({ event_id: event, scheme: location.protocol.slice(0, -1) });
  if (address) query.set('for', address);
  if (code) query.set('code', code);
  return `/api/luckydraw/join.svg?${query}`;
}
