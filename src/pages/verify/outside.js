// The outside value of a draw: its rule, the round that its lock names, and the value.

import { ascii, concat, ensure, fromHex, u32 } from "./bytes.js";
import { sha256 } from "./sha256.js";

const WORDS = /^[a-z0-9\uac00-\ud7a3]{1,100}$/;
/** The sources in place of drand, by rule. */
const FALLBACKS = { none: null, hall: null, drand: null, 'drand-or-hall': 'hall', 'drand-or-none': 'none' };
/** drand's chain of a round every three seconds: its hash, and the time of its first round. */
export const QUICKNET = '52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971';
const GENESIS_MS = 1_692_803_367_000;
const PERIOD_MS = 3000;
const LEAD_MS = 3000;

/** The bytes of the round that the lock names. On quicknet, it is the first to come after it. */
export function roundOf({ outside, round, drand_chain: chain, started_at_ms: time }) {
  ensure(Object.hasOwn(FALLBACKS, outside), 'badOutside');
  if (!outside.startsWith('drand')) {
    ensure(!isThere(round) && !isThere(chain), 'badRound');
    return new Uint8Array(0);
  }
  ensure(Number.isSafeInteger(round) && round >= 1 && chain !== QUICKNET, 'badRound');
  const first = 1 + Math.max(0, Math.ceil((time + LEAD_MS - GENESIS_MS) / PERIOD_MS));
  ensure(isThere(chain) || round === first, 'otherRound', round, first);
  return concat(fromHex(chain ?? QUICKNET, 32, 'drand_chain'), u32(Math.floor(round / 2 ** 32), round % 2 ** 32));
}

/** The value that decides, null where it never came; and notes as codes with values. */
export async function outsideOf(draw, isCancelled) {
  const { outside, outside_value: value, fallback: reason, round, drand_chain: chain } = draw;
  const hasFallback = isThere(reason);
  ensure(!hasFallback || (typeof reason === 'string' && FALLBACKS[outside]), 'badOutside');
  const source = hasFallback ? FALLBACKS[outside] : outside.split('-')[0];
  const notes = hasFallback ? [['fellBack', reason]] : [];
  if (source === 'none') {
    ensure(value === null, 'badOutside');
    return { value: new Uint8Array(0), notes };
  }
  if (value === null && isCancelled) return { value: null, notes };
  if (source === 'hall') {
    ensure(typeof value === 'string' && WORDS.test(value), 'badOutside');
    return { value: ascii(value), notes };
  }
  const signature = fromHex(value, 48, 'outside_value');
  notes.push(isThere(chain) ? ['otherChain', round] : ['unchecked']);
  return { value: await sha256(signature), notes };
}

/** A field that is null is as one that is not there. */
export const isThere = (value) => value !== undefined && value !== null;

/** When relays began to have the round that decided a draw, in milliseconds; null where none of quicknet did. */
export const timeOfRound = ({ round, drand_chain: chain, fallback }) =>
  isThere(round) && !isThere(chain) && !isThere(fallback) ? GENESIS_MS + (round - 1) * PERIOD_MS : null;

/** The page of a relay that shows a round. */
export const relayOf = (round) => `https://api.drand.sh/${QUICKNET}/public/${round}`;
