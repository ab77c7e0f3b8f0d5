// The line to the server: one socket that comes back for ever, and long-polling where a network blocks sockets.
//
// A page hears frames through `onFrame` and how the line is through `onStatus`; it never sees a socket. Phones sleep, halls lose their network,
// servers are restarted: a browser may not tell of any of it, so that a line that has been silent too long counts as lost.

const PING_MS = 20_000;
/** Silent so long, a line is lost: a ping and its answer have had their time. */
const SILENCE_MS = 32_000;
/** How long a socket may take to open. */
const OPENING_MS = 10_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 20_000;
/** A server that restarts is back soon; the jitter keeps a hall from arriving in one instant. */
const RESTART_MAX_MS = 3_000;
/** Sockets refused in a row before long-polling takes over, and how long until a socket is tried again. */
const REFUSALS_MAX = 2;
const POLLING_MS = 120_000;
const POLL_PATIENCE_MS = 40_000;

const RESTARTING = 1012;
/** No coming back: a bad token, no such event, replaced by a newer tab. */
const FINAL = [4401, 4404, 4409];

/**
 * Keeps a line to an event. `role`: 'phone', 'display' or 'admin'; `token`: what proves a phone's number or a role, sent as the first message.
 * `onStatus({ line, code, isPortal })`: line is 'connecting', 'live', 'polling', 'waiting' (for the next try) or 'ended' (with the close code).
 * Gives { send(message), isLive(), prove(token), again(), close() }; send says whether the message left.
 */
export function connect({ event, role = 'phone', token = null, onFrame, onStatus = () => {} }) {
  let socket = null;
  let heardAt = 0;
  let failures = 0;
  let refusals = 0;
  let timer = null;
  let polling = null;
  let isOver = false;
  let seen = { seq: null, epoch: null };

  function tell(line, more = {}) {
    onStatus({ line, code: null, isPortal: false, ...more });
  }

  function open() {
    clearTimeout(timer);
    timer = null;
    stopPolling();
    if (isOver) return;
    tell('connecting');
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const opened = new WebSocket(`${scheme}//${location.host}/api/luckydraw/ws/${event}?role=${role}`);
    socket = opened;
    let isOpen = false;
    heardAt = Date.now();
    const deadline = setTimeout(() => drop(opened), OPENING_MS);
    opened.onopen = () => {
      clearTimeout(deadline);
      isOpen = true;
      refusals = 0;
      if (token) opened.send(JSON.stringify(role === 'phone' ? { type: 'identify', session_token: token } : { type: 'auth', token }));
    };
    opened.onmessage = ({ data }) => {
      if (socket !== opened) return;
      heardAt = Date.now();
      failures = 0;
      hear(JSON.parse(data));
    };
    opened.onclose = ({ code }) => {
      clearTimeout(deadline);
      if (socket !== opened) return;
      socket = null;
      if (!isOpen) refusals += 1;
      lost(code);
    };
  }

  /** Lets a socket go without waiting for its goodbye, which a sleeping network never brings. */
  function drop(old) {
    if (socket !== old) return;
    socket = null;
    if (old.readyState === WebSocket.CONNECTING) refusals += 1;
    old.onclose = null;
    old.onmessage = null;
    old.close();
    lost(null);
  }

  function hear(frame) {
    if (frame.type === 'pong') return;
    if (frame.type === 'state_sync') {
      seen = { seq: frame.seq, epoch: frame.epoch };
      tell('live');
    } else if (frame.seq !== undefined) {
      // Seen already, from before the line was lost.
      if (frame.epoch === seen.epoch && seen.seq !== null && frame.seq <= seen.seq) return;
      seen = { seq: frame.seq, epoch: frame.epoch };
    }
    onFrame(frame);
  }

  function lost(code) {
    if (isOver) return;
    if (FINAL.includes(code)) {
      isOver = true;
      tell('ended', { code });
      return;
    }
    if (role === 'phone' && refusals >= REFUSALS_MAX) {
      poll();
      return;
    }
    failures += 1;
    const most = code === RESTARTING ? RESTART_MAX_MS : Math.min(RETRY_MAX_MS, 1_000 * 2 ** Math.min(failures, 6));
    timer = setTimeout(open, RETRY_MIN_MS + Math.random() * (most - RETRY_MIN_MS));
    tell('waiting', { code });
    if (failures > 1) probe();
  }

  /** Whether it is the network's own login page that answers. */
  async function probe() {
    try {
      const reply = await fetch('/healthz', { cache: 'no-store', signal: AbortSignal.timeout(5_000) });
      const isOurs = (reply.headers.get('content-type') ?? '').includes('json');
      if (timer && !isOurs) tell('waiting', { isPortal: true });
    } catch {
      // No answer at all: an outage, which is what the page says already.
    }
  }

  async function poll() {
    const mine = (polling = new AbortController());
    timer = setTimeout(() => {
      refusals = REFUSALS_MAX - 1;
      open();
    }, POLLING_MS);
    while (polling === mine) {
      try {
        const since = seen.epoch ? `&since=${seen.seq}&epoch=${seen.epoch}` : '';
        const reply = await fetch(`/api/luckydraw/state?event_id=${event}${since}`, {
          headers: token ? { Authorization: `Bearer ${token}` } : {},
          cache: 'no-store',
          signal: AbortSignal.any ? AbortSignal.any([mine.signal, AbortSignal.timeout(POLL_PATIENCE_MS)]) : mine.signal,
        });
        const { data } = await reply.json();
        if (polling !== mine) return;
        if (reply.status === 404) {
          stopPolling();
          lost(4404);
          return;
        }
        if (!reply.ok) throw new Error(String(reply.status));
        failures = 0;
        heardAt = Date.now();
        for (const frame of data.frames) hear(frame);
        hear(data.state_sync);
        tell('polling');
      } catch {
        if (polling !== mine) return;
        // Nobody answers at all, so that it is no wall against sockets: the next try is a socket again.
        stopPolling();
        clearTimeout(timer);
        refusals = REFUSALS_MAX - 1;
        lost(null);
        return;
      }
    }
  }

  function stopPolling() {
    polling?.abort();
    polling = null;
  }

  /** The page is looked at again, or the network is back. */
  function wake() {
    if (isOver || document.visibilityState === 'hidden') return;
    if (socket && Date.now() - heardAt > PING_MS + 2_000) drop(socket);
    if (!socket && !polling && timer) open();
  }

  const beat = setInterval(() => {
    if (!socket) return;
    if (Date.now() - heardAt > SILENCE_MS) drop(socket);
    else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
  }, PING_MS / 2);
  document.addEventListener('visibilitychange', wake);
  for (const name of ['pageshow', 'online']) window.addEventListener(name, wake);

  open();
  return {
    send(message) {
      if (socket?.readyState !== WebSocket.OPEN) return false;
      socket.send(JSON.stringify(message));
      return true;
    },
    isLive: () => socket?.readyState === WebSocket.OPEN,
    /** From now on a phone proves itself by this token; null: by none. */
    prove(another) {
      token = another;
      if (token && socket?.readyState === WebSocket.OPEN) {
        socket.send(JSON.stringify({ type: 'identify', session_token: token }));
      } else if (polling) {
        // The poll that is under way asks for nobody.
        stopPolling();
        clearTimeout(timer);
        poll();
      }
    },
    /** Tries at once, also after an end. */
    again() {
      isOver = false;
      if (!socket) open();
    },
    close() {
      isOver = true;
      clearInterval(beat);
      clearTimeout(timer);
      stopPolling();
      document.removeEventListener('visibilitychange', wake);
      for (const name of ['pageshow', 'online']) window.removeEventListener(name, wake);
      const last = socket;
      socket = null;
      last?.close();
    },
  };
}
