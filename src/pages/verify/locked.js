// Locked draws, version 2 of the proof. Each lock names the end of the draw before it, so that none
// can be left out between two. src/draw/PROOF.md specifies every byte.

import { ascii, concat, ensure, fields, fromHex, hmac, isNumber, toHex, u32 } from "./bytes.js";
import { outsideOf, roundOf } from "./outside.js";
import { difference, pick, poolOf, runsOf, weightsOf } from "./pick.js";
import { portableSha256, sha256 } from "./sha256.js";

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const MODES = ['slot', 'card', 'network', 'list'];
const NONE = new Uint8Array(0);

/** Checks locked draws in order. `heads`: the head of each draw that holds, by its id. */
export class LockChecker {
  constructor(proof) {
    this.proof = proof;
    this.anchors = proof.anchors === undefined ? [] : proof.anchors;
    this.last = null;
    this.previous = null;
    /** The lists of the locked draw before, which the next one goes on from. */
    this.lists = null;
    this.draws = new Map();
  }

  /** Throws a Mismatch unless the draw holds. Gives the draw with its whole lists, and notes. */
  async check(told) {
    this.checkOrder(told);
    const seed = await this.checkSeed(told);
    const draw = this.withLists(told);
    const { runs, numbers } = poolOf(draw.excluded, draw.registered_through);
    const { winner_count: count } = draw;
    ensure(draw.pool_size === numbers.length, 'badPoolSize', draw.pool_size, numbers.length);
    ensure(isNumber(count) && count <= numbers.length, 'badCount', count, numbers.length);
    const weights = weightsOf(draw.weights, numbers);
    const head = await sha256(this.lockOf(draw, runs));
    ensure(toHex(head) === draw.head, 'badHead');
    const isCancelled = draw.status === 'cancelled';
    const { value, notes } = await outsideOf(draw, isCancelled);
    const entropy = await hmac(seed, fields(ascii('luckydraw pick 2'), head, value ?? NONE));
    const expected = value === null ? [] : await pick(numbers, weights, count, entropy);
    const isEqual = draw.picks.length === expected.length && expected.every((number, place) => number === draw.picks[place]);
    ensure(isEqual, 'otherPicks', draw.picks.join(', '), expected.join(', '));
    const code = isCancelled ? null : await confirmationCode(head, value.length > 0 ? value : seed);
    ensure(draw.code === code, 'badCode', draw.code, code);
    ensure(!isCancelled || draw.voided.length === 0, 'cancelledVoid');
    const end = fields(ascii('luckydraw end 2'), head, seed, value ?? NONE, ascii(draw.status), u32(...expected));
    this.previous = { id: draw.draw_id, end: await sha256(end) };
    notes.push(...this.changes(draw));
    this.last = { chain: draw.chain, place: draw.place, seed, outside: draw.outside, startedAt: draw.started_at_ms };
    this.lists = draw;
    this.draws.set(draw.draw_id, draw);
    return { draw, notes };
  }

  /** What a server may do and people should know: it changed something between two draws. */
  changes({ chain, place, outside, started_at_ms: startedAt }) {
    const { last } = this;
    const found = chain > 0 && place === 1 ? [['newChain']] : [];
    if (last && last.outside !== outside) found.push(['otherRule', last.outside, outside]);
    if (last && startedAt < last.startedAt) found.push(['clockBack']);
    return found;
  }

  /** The draw with whole lists: the file tells what changed since the lock before. */
  withLists(draw) {
    const { lists: before } = this;
    const changes = runsOf(draw.excluded, draw.registered_through);
    const excluded = difference(before?.excluded ?? [], changes);
    const root = draw.roster_root ?? before?.roster_root;
    let at = 0;
    const isIn = ([number]) => {
      while (at < excluded.length && excluded[at][1] < number) at += 1;
      return at === excluded.length || number < excluded[at][0];
    };
    const weights = draw.weights ?? before?.weights.filter(isIn);
    ensure(weights, 'badWeights');
    return { ...draw, excluded, roster_root: root, weights };
  }

  /** Checks that no draw is left out before this one. */
  checkOrder({ draw_id: id, chain, place }) {
    const { last, previous } = this;
    ensure(isNumber(id) && (!previous || id === previous.id + 1), 'leftOut');
    // A chain that was replaced before its first draw has none.
    const isNext = chain === last?.chain ? place === last.place + 1 : chain > (last?.chain ?? -1) && place === 1;
    ensure(Number.isInteger(chain) && isNext, 'leftOut');
  }

  async checkSeed({ chain, place, seed: hex }) {
    const seed = fromHex(hex, 32, 'seed');
    ensure(chain < this.anchors.length, 'noAnchor');
    const before = place > 1 ? this.last.seed : fromHex(this.anchors[chain], 32, 'anchors');
    ensure(toHex(await sha256(fields(ascii('luckydraw seed 2'), seed))) === toHex(before), 'badSeed');
    return seed;
  }

  lockOf(draw, runs) {
    ensure(MODES.includes(draw.draw_mode), 'malformed', 'draw_mode');
    const { redraw_of: redraw, started_at_ms: time } = draw;
    ensure(Number.isSafeInteger(time) && time >= 0, 'malformed', 'started_at_ms');
    const weights = draw.weights.map(([number, weight]) => concat(u32(number), u32(weight).slice(2)));
    return fields(
      ascii('luckydraw lock 2'),
      text(draw.event_id ?? this.proof.event_id),
      fromHex(this.proof.event_session_id, 16, 'event_session_id'),
      fromHex(this.anchors[draw.chain], 32, 'anchors'),
      u32(draw.place),
      this.previous?.end ?? new Uint8Array(32),
      u32(draw.draw_id),
      text(draw.prize_name),
      u32(draw.prize_rank),
      ascii(draw.draw_mode),
      u32(draw.winner_count),
      redraw ? u32(redraw.draw_id, redraw.draw_number) : NONE,
      u32(draw.registered_through),
      fromHex(draw.roster_root, 32, 'roster_root'),
      u32(...runs.flat()),
      concat(...weights),
      concat(text(draw.outside), roundOf(draw)),
      u32(Math.floor(time / 2 ** 32), time % 2 ** 32),
    );
  }

  /** Checks what follows the draws: no two chains are one, and leaves lead to their root. */
  checkRest() {
    const { anchors } = this;
    ensure(Array.isArray(anchors), 'malformed', 'anchors');
    for (const anchor of anchors) fromHex(anchor, 32, 'anchors');
    ensure(new Set(anchors).size === anchors.length, 'badAnchors');
    const { leaves } = this.proof;
    const lock = leaves && this.draws.get(leaves.draw_id);
    if (!lock) return;
    ensure(leaves.hashes.length === lock.registered_through, 'badLeaves');
    ensure(toHex(rootOf(leaves.hashes.map((leaf) => fromHex(leaf, 32, 'leaves')))) === lock.roster_root, 'badLeaves');
  }
}

/** The confirmation code of a lock: eight characters that people compare. */
export async function confirmationCode(head, key) {
  const hash = await hmac(key, fields(ascii('luckydraw code 2'), head));
  const bits = hash.slice(0, 5).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  return Array.from({ length: 8 }, (_, place) => CROCKFORD[Number((bits >> BigInt(5 * (7 - place))) & 31n)]).join('');
}

/** The root that a path leads to from the leaf of a registration, or null. */
export function rootFrom(number, key, width, path) {
  let hash = portableSha256(concat(ascii('\0luckydraw leaf 2'), u32(number), key));
  let index = number - 1;
  const steps = [...path];
  if (number > width) return null;
  for (let wide = width; wide > 1; wide = Math.ceil(wide / 2)) {
    const isAlone = index % 2 === 0 && index + 1 === wide;
    const step = isAlone ? null : steps.shift();
    if (step === undefined) return null;
    if (step) hash = index % 2 === 1 ? node(step, hash) : node(hash, step);
    index = Math.floor(index / 2);
  }
  return steps.length === 0 ? hash : null;
}

function rootOf(leaves) {
  let level = leaves;
  while (level.length > 1) {
    const parents = [];
    for (let i = 0; i < level.length; i += 2) parents.push(i + 1 < level.length ? node(level[i], level[i + 1]) : level[i]);
    level = parents;
  }
  return level[0];
}

const node = (left, right) => portableSha256(concat(Uint8Array.of(1), left, right));

function text(value) {
  ensure(typeof value === 'string', 'malformed', 'text');
  return ascii(value);
}
