// The server's clock as a page estimates it. A ping's round trip bounds the error, since the server
// read its time somewhere within it: the quickest of the last pings counts. The page's own clock is
// performance.now(), since the wall clock of a phone may be wrong and may jump. Some browsers stop it
// while the phone sleeps: then the wall clock has moved against it, and no sample of before counts.

const SAMPLES_MAX = 8;
/** Difference between the page's two clocks beyond which one of them stood still or was set. */
const DRIFT_MAX_MS = 250;

const drift = () => Date.now() - performance.now();

export class ServerClock {
  constructor() {
    /** The last pings: { roundTripMs, offsetMs }, the newest last. */
    this.samples = [];
    /** The samples are of before a sleep, and the next one replaces them. */
    this.isStale = false;
    this.driftMs = drift();
  }

  /** True when its time can be relied on. */
  get isSet() {
    if (Math.abs(drift() - this.driftMs) > DRIFT_MAX_MS) this.isStale = true;
    return this.samples.length > 0 && !this.isStale;
  }

  /**
   * Adds a ping sent at `sentAt` whose pong came at `receivedAt`, both by performance.now(), with
   * the server's time in milliseconds.
   */
  add(sentAt, receivedAt, serverMs) {
    if (!this.isSet) this.samples = [];
    Object.assign(this, { isStale: false, driftMs: drift() });
    const roundTripMs = receivedAt - sentAt;
    this.samples.push({ roundTripMs, offsetMs: serverMs - (sentAt + receivedAt) / 2 });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  /** The server's time now, in milliseconds since 1970. Needs a first pong. */
  now() {
    const best = this.samples.reduce((a, b) => (b.roundTripMs < a.roundTripMs ? b : a));
    return performance.now() + best.offsetMs;
  }

  /**
   * Milliseconds until a time that the server named; 0 when it is past or not named, and without
   * a pong. At most `mostMs`, so that no wrong clock holds a page up for longer.
   */
  until(time, mostMs) {
    if (!time || this.samples.length === 0) return 0;
    return Math.min(mostMs, Math.max(0, Date.parse(time) - this.now()));
  }
}
