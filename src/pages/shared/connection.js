// Connection to an event: one WebSocket that reconnects without limit, and long polling where a
// network blocks sockets.
//
// A page receives frames through `onFrame` and the connection's status through `onStatus`, and
// never a socket. Phones sleep, networks fail, servers restart, and a browser may report none of
// it, so a silent connection counts as lost after a timeout.

import { ServerClock } from "./server-clock.js";

const PING_MS = 20_000;
/** Pings in a row on a new socket, and the time between them: they set the clock. */
const FIRST_PINGS = 5;
const FIRST_PING_INTERVAL_MS = 250;
/** Longest time until a round of drand that a page believes. */
const ROUND_MAX_MS = 60_000;
/** Longest time that a page holds winners until the moment at which every page shows them. */
const HOLD_MAX_MS = 2_500;
/** Longest time that a page holds winners until it knows the server's clock. */
const CLOCK_WAIT_MS = 1_000;
/** Longest show that a page waits for. */
const SHOW_MAX_MS = 20_000;
/** Silence after which a connection is lost: longer than a ping and its pong need. */
const SILENCE_MS = 32_000;
/** Time a socket may take to open. */
const OPEN_TIMEOUT_MS = 10_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 20_000;
/** Longest delay after a restart; the jitter spreads the reconnects of all phones. */
const RESTART_MAX_MS = 3_000;
/**
 * Sockets refused in a row before long polling takes over, and time until a socket is tried again.
 */
const REFUSALS_MAX = 2;
const POLLING_MS = 120_000;
const POLL_TIMEOUT_MS = 40_000;
/** Longest time of an answer to a poll that sets the clock. */
const QUICK_ANSWER_MS = 1_000;
const PROBE_TIMEOUT_MS = 5_000;

const RESTARTING = 1012;
const BAD_TOKEN = 4401;
const NO_SUCH_EVENT = 4404;
/** Close codes that forbid a reconnect: bad token, no such event, replaced by a newer tab. */
const FINAL = [BAD_TOKEN, NO_SUCH_EVENT, 4409];
const WAKE_EVENTS = ['pageshow', 'online'];

/**
 * Connects to an event. `role`: 'phone', 'display' or 'admin'; `token`: the session token of a
 * phone or the token of a role, sent as the first message. `onStatus({ status, code, isPortal })`:
 * status is 'connecting', 'live', 'polling', 'waiting' (for the next attempt) or 'ended' (with the
 * close code).
 */
export function connect(options) {
  const connection = new Connection(options);
  connection.open();
  return connection;
}

class Connection {
  constructor({ event, role = 'phone', token = null, onFrame, onStatus = () => {} }) {
    Object.assign(this, { event, role, token, onFrame, onStatus });
    this.socket = null;
    /** The server's clock. */
    this.clock = new ServerClock();
    /** The time at which the ping without a pong was sent, by performance.now(). */
    this.pingSentAt = null;
    this.firstPings = 0;
    /** Pings without a pong, and those of them that were sent before the clock was to be set anew. */
    this.unanswered = 0;
    this.outdated = 0;
    /** An announcement that waits for its moment, and the frames behind it. */
    this.held = [];
    this.holdTimer = null;
    this.lastReceivedAt = 0;
    this.failures = 0;
    this.refusals = 0;
    /** Timer of the next socket, after a failure or while polling. */
    this.retry = null;
    /** AbortController of the poll loop. */
    this.polling = null;
    this.isEnded = false;
    /** What the last poll of a display or console answered from. */
    this.revision = null;
    /** Sequence number and epoch of the last frame. */
    this.seen = { seq: null, epoch: null };
    this.heartbeat = setInterval(() => this.beat(), PING_MS / 2);
    this.wake = () => this.checkAfterWake();
    document.addEventListener('visibilitychange', this.wake);
    for (const name of WAKE_EVENTS) window.addEventListener(name, this.wake);
  }

  /** Sends a message; returns false without an open socket. */
  send(message) {
    if (!this.isOpen()) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Milliseconds until a draw's planned moment, 0 without one. */
  untilShown({ show_at: showAt }) {
    return this.clock.until(showAt, SHOW_MAX_MS);
  }

  /** Milliseconds until the round that a draw waits for, 0 once relays should have it. */
  untilRound({ outside_at: roundAt }) {
    return this.clock.until(roundAt, ROUND_MAX_MS);
  }

  /** Sets the token by which a phone identifies; null removes it. */
  identify(token) {
    this.token = token;
    if (token && this.send({ type: 'identify', session_token: token })) return;
    if (!this.polling) return;
    // The poll in flight carries the old token.
    this.stopPolling();
    clearTimeout(this.retry);
    this.poll();
  }

  /** Reconnects at once, also after an end. */
  reconnect() {
    this.isEnded = false;
    if (!this.socket) this.open();
  }

  close() {
    this.isEnded = true;
    clearInterval(this.heartbeat);
    clearTimeout(this.retry);
    this.stopPolling();
    document.removeEventListener('visibilitychange', this.wake);
    for (const name of WAKE_EVENTS) window.removeEventListener(name, this.wake);
    const { socket } = this;
    this.socket = null;
    socket?.close();
  }

  report(status, details = {}) {
    this.onStatus({ status, code: null, isPortal: false, ...details });
  }

  open() {
    clearTimeout(this.retry);
    this.retry = null;
    this.stopPolling();
    if (this.isEnded) return;
    this.report('connecting');
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const query = `?role=${this.role}${this.since()}`;
    const socket = new WebSocket(`${scheme}//${location.host}/api/luckydraw/ws/${this.event}${query}`);
    this.socket = socket;
    this.lastReceivedAt = Date.now();
    let hasOpened = false;
    const deadline = setTimeout(() => this.drop(socket), OPEN_TIMEOUT_MS);
    socket.onopen = () => {
      clearTimeout(deadline);
      hasOpened = true;
      this.refusals = 0;
      this.unanswered = 0;
      this.prepareClock();
      this.authenticate(socket);
    };
    socket.onmessage = ({ data }) => {
      if (this.socket !== socket) return;
      this.lastReceivedAt = Date.now();
      this.failures = 0;
      this.receive(JSON.parse(data));
    };
    socket.onclose = ({ code }) => {
      clearTimeout(deadline);
      if (this.socket !== socket) return;
      this.socket = null;
      if (!hasOpened) this.refusals += 1;
      this.handleLoss(code);
    };
  }

  authenticate(socket) {
    const { role, token } = this;
    const message = role === 'phone' ? { type: 'identify', session_token: token } : { type: 'auth', token };
    if (token) socket.send(JSON.stringify(message));
  }

  /**
   * Drops a socket without waiting for its close frame, which a sleeping network never delivers.
   */
  drop(socket) {
    if (this.socket !== socket) return;
    this.socket = null;
    if (socket.readyState === WebSocket.CONNECTING) this.refusals += 1;
    socket.onclose = null;
    socket.onmessage = null;
    socket.close();
    this.handleLoss(null);
  }

  receive(frame) {
    const { type, seq, epoch } = frame;
    if (type === 'pong') {
      this.readClock(frame);
      return;
    }
    if (type === 'state_sync') {
      this.seen = { seq, epoch };
      this.report('live');
      if (this.firstPings === FIRST_PINGS) this.ping();
    } else if (seq !== undefined) {
      // A duplicate from before the connection was lost.
      if (epoch === this.seen.epoch && this.seen.seq !== null && seq <= this.seen.seq) return;
      this.seen = { seq, epoch };
    }
    this.hold(frame);
  }

  /**
   * Passes a frame on; an announcement at the moment that the server planned for every page, and
   * the frames behind it in their order. A state sync holds all of it.
   */
  hold(frame) {
    // The answer to a poll ends with one: it waits behind the announcement.
    if (frame.type === 'state_sync' && !this.polling) this.release();
    this.held.push(frame);
    if (this.held.length === 1) this.passOn();
  }

  /** Passes on what waits, up to the first frame whose time has not come. */
  passOn() {
    clearTimeout(this.holdTimer);
    while (this.held.length > 0) {
      const waitMs = this.waitOf(this.held[0]);
      if (waitMs > 0) {
        this.holdTimer = setTimeout(() => this.release(), waitMs);
        return;
      }
      this.onFrame(this.held.shift());
    }
  }

  /** Milliseconds for which a frame waits; the state of a show in progress for the clock alone. */
  waitOf({ type, show_at: showAt, current }) {
    const isState = type === 'state_sync';
    const moment = isState ? current?.show_at : type === 'winner_announced' ? showAt : null;
    if (!moment) return 0;
    if (!this.clock.isSet) {
      if (this.firstPings <= 0) this.measureClock();
      return this.isOpen() ? CLOCK_WAIT_MS : 0;
    }
    return isState ? 0 : this.clock.until(showAt, HOLD_MAX_MS);
  }

  release() {
    clearTimeout(this.holdTimer);
    while (this.held.length > 0) this.onFrame(this.held.shift());
  }

  handleLoss(code) {
    if (this.isEnded) return;
    if (FINAL.includes(code)) {
      this.isEnded = true;
      this.report('ended', { code });
      return;
    }
    if (this.refusals >= REFUSALS_MAX) {
      this.poll();
      return;
    }
    this.failures += 1;
    const backoffMs = Math.min(RETRY_MAX_MS, 1_000 * 2 ** Math.min(this.failures, 6));
    const mostMs = code === RESTARTING ? RESTART_MAX_MS : backoffMs;
    this.retry = setTimeout(() => this.open(), RETRY_MIN_MS + Math.random() * (mostMs - RETRY_MIN_MS));
    this.report('waiting', { code });
    if (this.failures > 1) this.detectPortal();
  }

  /** Reports a captive portal: its own login page answers in place of the server. */
  async detectPortal() {
    try {
      const response = await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
      const isServer = (response.headers.get('content-type') ?? '').includes('json');
      if (this.retry && !isServer) this.report('waiting', { isPortal: true });
    } catch {
      // No answer at all is an outage, which 'waiting' has already reported.
    }
  }

  async poll() {
    const loop = (this.polling = new AbortController());
    this.retry = setTimeout(() => {
      this.refusals = REFUSALS_MAX - 1;
      this.open();
    }, POLLING_MS);
    while (this.polling === loop) {
      try {
        await this.pollOnce(loop);
      } catch {
        if (this.polling !== loop) return;
        // The server does not answer at all, so sockets are not blocked in particular: the next
        // attempt is a socket again.
        this.stopPolling();
        clearTimeout(this.retry);
        this.refusals = REFUSALS_MAX - 1;
        this.handleLoss(null);
      }
    }
  }

  async pollOnce(loop) {
    const sentAt = performance.now();
    const known = this.role === 'phone' ? '' : `&role=${this.role}${this.revision === null ? '' : `&revision=${this.revision}`}`;
    const response = await fetch(`/api/luckydraw/state?event_id=${this.event}${this.since()}${known}`, {
      headers: this.token ? { Authorization: `Bearer ${this.token}` } : {},
      cache: 'no-store',
      signal: AbortSignal.any ? AbortSignal.any([loop.signal, AbortSignal.timeout(POLL_TIMEOUT_MS)]) : loop.signal,
    });
    const { data } = await response.json();
    if (this.polling !== loop) return;
    if (response.status === 404) {
      this.stopPolling();
      this.handleLoss(NO_SUCH_EVENT);
      return;
    }
    const isRefused = response.status === 401 || data?.token_refused;
    if (!response.ok && !isRefused) throw new Error(String(response.status));
    if (isRefused) {
      this.stopPolling();
      clearTimeout(this.retry);
      this.handleLoss(BAD_TOKEN);
      return;
    }
    this.failures = 0;
    this.lastReceivedAt = Date.now();
    this.revision = data.revision ?? null;
    const receivedAt = performance.now();
    // An answer that waited for a change says little about the clock.
    if (receivedAt - sentAt < QUICK_ANSWER_MS) this.clock.add(sentAt, receivedAt, Date.parse(data.server_time));
    for (const frame of data.frames) this.receive(frame);
    this.receive(data.state_sync);
    this.report('polling');
  }

  /** The last frame seen, as a query: the server sends the frames after it. */
  since() {
    const { seq, epoch } = this.seen;
    return epoch ? `&since=${seq}&epoch=${epoch}` : '';
  }

  stopPolling() {
    this.polling?.abort();
    this.polling = null;
  }

  /** Checks the connection when the page becomes visible or the network is back. */
  checkAfterWake() {
    if (this.isEnded || document.visibilityState === 'hidden') return;
    if (this.socket && Date.now() - this.lastReceivedAt > PING_MS + 2_000) this.drop(this.socket);
    if (!this.socket && !this.polling && this.retry) this.open();
    // The phone may have slept.
    else this.measureClock();
  }

  beat() {
    if (!this.socket) return;
    if (Date.now() - this.lastReceivedAt > SILENCE_MS) this.drop(this.socket);
    else this.ping();
  }

  ping() {
    const sentAt = performance.now();
    if (!this.send({ type: 'ping' })) return;
    this.unanswered += 1;
    // A ping without a pong is not measured again.
    this.pingSentAt ??= sentAt;
  }

  /** Makes the next pongs set the clock anew, and none of a ping that was sent before. */
  prepareClock() {
    this.clock.isStale = true;
    this.outdated = this.unanswered;
    this.pingSentAt = null;
    this.firstPings = FIRST_PINGS;
  }

  measureClock() {
    this.prepareClock();
    this.ping();
  }

  /** Pongs come in the order of their pings. */
  readClock({ server_time: time }) {
    this.unanswered -= 1;
    if (this.outdated > 0) {
      this.outdated -= 1;
      return;
    }
    if (this.pingSentAt === null) return;
    if (time) this.clock.add(this.pingSentAt, performance.now(), Date.parse(time));
    this.pingSentAt = null;
    // The first frame may have waited for the clock alone.
    this.passOn();
    this.firstPings -= 1;
    if (this.firstPings > 0) setTimeout(() => this.ping(), FIRST_PING_INTERVAL_MS);
  }
}
