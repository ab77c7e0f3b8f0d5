// The way back from an edge that died. A page on an edge keeps its number for that address alone, so
// it goes to the origin by itself and takes the number along, behind the `#`, where no server and no
// log sees it. The origin leads it to another box.

import { get, set } from "../shared/storage.js";

const PROBE_TIMEOUT_MS = 5_000;
/** Time after which the origin counts a dead edge as gone: it would lead back there before. */
const AWAY_MS = 5_000;
const KEYS = ['ticket', 'try'];

let lostAt = null;

/** The origin's address where this page is an edge's, else undefined. The edge left it in a cookie. */
function originOfEdge() {
  const address = document.cookie.match(/(?:^|; )luckydraw_origin=([^;]+)/)?.[1];
  return address === location.origin ? undefined : address;
}

/** Goes to the origin once this page's edge has been away for a while and the origin is there. */
export async function leaveDeadEdge({ status }, event) {
  if (status === 'live' || status === 'polling') lostAt = null;
  if (status !== 'waiting') return;
  lostAt ??= Date.now();
  const origin = originOfEdge();
  // What a person is typing would be lost.
  if (!origin || Date.now() - lostAt < AWAY_MS || document.activeElement?.matches('input')) return;
  try {
    await fetch(`${origin}/healthz`, { mode: 'no-cors', cache: 'no-store', signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  } catch {
    // Neither is there: the phone itself is offline, and stays where it is.
    return;
  }
  if (lostAt === null) return;
  const held = Object.fromEntries(KEYS.map((key) => [key, get(`${key}.${event}`)]));
  location.replace(`${origin}/j/${event}?back#held=${encodeURIComponent(JSON.stringify(held))}`);
}

/** Takes the number over that this phone had on a box that died. A number that is here stays. */
export function takeHeld(event) {
  const held = new URLSearchParams(location.hash.slice(1)).get('held');
  if (held === null) return;
  history.replaceState(null, '', location.pathname);
  try {
    const values = JSON.parse(held);
    if (KEYS.some((key) => get(`${key}.${event}`))) return;
    for (const key of KEYS) if (values[key]) set(`${key}.${event}`, values[key]);
  } catch {
    // Somebody cut the address.
  }
}
