// The network: every number of the hall a node, sparks that run between them, and winners who rise out of it.
//
// The web itself is painted once. What moves is one small set of sparks on a canvas above it, however many numbers there are, and the winners,
// which are elements. Numbers are dealt to nodes by chance before anybody can know a winner.

import { digits, make } from "../shared/dom.js";
import { litAt, paintWeb, weave } from "./graph.js";

const NODES_MAX = 1_000;
const SPARKS = 16;
const HOP_MS = 150;
const GLOW_MS = 620;
const GATHER_MS = 500;
const AIM_MS = 620;
const FLY_MS = 700;

/** How far apart winners rise: slow for a few, brisk for ten. */
const gapMs = (seats) => (seats <= 3 ? 1_250 : seats <= 5 ? 950 : 590);

/** `landed(step)` is called as each winner takes a seat. */
export function makeNetwork({ floor, count, seats, isCalm, landed }) {
  const web = make('canvas', { className: 'web' });
  const glow = make('canvas', { className: 'glow' });
  const orbs = make('div', { className: 'orbs' });
  orbs.dataset.count = seats;
  const net = make('div', { className: 'network' }, web, glow, orbs);
  net.style.setProperty('--digits', Math.max(3, String(count).length));
  floor.append(net);
  const labels = deal(count, Math.min(count, NODES_MAX));
  const pen = glow.getContext('2d');
  let woven = null;
  let sparks = [];
  let aims = [];
  let frame = null;
  let isOver = false;

  function fit() {
    const [width, height] = [net.clientWidth, net.clientHeight];
    if (width === 0 || (woven && woven.width === width && woven.height === height)) return;
    woven = weave(labels.length, width, height);
    for (const canvas of [web, glow]) {
      canvas.width = Math.round(width * woven.scale);
      canvas.height = Math.round(height * woven.scale);
    }
    paintWeb(web.getContext('2d'), woven, labels);
    sparks = Array.from({ length: Math.min(SPARKS, labels.length) }, () => ({ at: any(labels.length), to: null, since: 0, took: 1 }));
  }
  const resized = new ResizeObserver(fit);

  function step(now) {
    pen.setTransform(woven.scale, 0, 0, woven.scale, 0, 0);
    pen.clearRect(0, 0, woven.width, woven.height);
    litAt(pen, woven, labels, now, GLOW_MS);
    for (const spark of sparks) hop(spark, now);
    aims = aims.filter((aim) => aimAt(aim, now));
    frame = requestAnimationFrame(step);
  }

  /** A spark on its way to a neighbour, and on from there. */
  function hop(spark, now) {
    if (spark.to === null || now - spark.since >= spark.took) {
      if (spark.to !== null) spark.at = spark.to;
      woven.litSince[spark.at] = now;
      const near = woven.near[spark.at];
      spark.to = near.length > 0 && Math.random() > 0.03 ? near[any(near.length)] : any(labels.length);
      spark.since = now;
      spark.took = HOP_MS * (0.6 + Math.random() * 0.8);
    }
    const [x0, y0, x1, y1] = [woven.x[spark.at], woven.y[spark.at], woven.x[spark.to], woven.y[spark.to]];
    const share = Math.min(1, (now - spark.since) / spark.took);
    pen.strokeStyle = 'rgb(255 214 120 / 85%)';
    pen.lineWidth = woven.gap * 0.07 + 1;
    pen.beginPath();
    pen.moveTo(x0 + (x1 - x0) * Math.max(0, share - 0.6), y0 + (y1 - y0) * Math.max(0, share - 0.6));
    pen.lineTo(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share);
    pen.stroke();
  }

  /** A ring that closes in on a winner's node; false once it is closed. */
  function aimAt({ node, since }, now) {
    const share = Math.min(1, (now - since) / AIM_MS);
    const radius = woven.gap * 0.4 + (1 - share) ** 2 * Math.min(woven.width, woven.height) * 0.42;
    pen.strokeStyle = `rgb(255 209 102 / ${Math.round(20 + share * 80)}%)`;
    pen.lineWidth = 2 + share * 4;
    pen.beginPath();
    pen.arc(woven.x[node], woven.y[node], radius, 0, 7);
    pen.stroke();
    return share < 1;
  }

  function halt() {
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    resized.disconnect();
  }

  function show(winners) {
    isOver = true;
    halt();
    if (woven) pen.clearRect(0, 0, glow.width, glow.height);
    orbs.replaceChildren(...winners.map((winner) => seatOf(winner)));
    net.dataset.settled = '';
  }

  async function rise(orb, winner, seat) {
    const dealt = labels.indexOf(winner);
    const node = dealt >= 0 ? dealt : any(labels.length);
    aims.push({ node, since: performance.now() });
    await pause(AIM_MS);
    if (isOver) return;
    orb.textContent = digits(winner);
    orb.dataset.winner = winner;
    const [home, field] = [orb.getBoundingClientRect(), net.getBoundingClientRect()];
    const from = [field.left + woven.x[node] - home.left - home.width / 2, field.top + woven.y[node] - home.top - home.height / 2];
    const flight = orb.animate(
      [
        { transform: `translate(${from[0]}px, ${from[1]}px) scale(0.1)`, opacity: 0 },
        { opacity: 1, offset: 0.25 },
        { transform: 'none', opacity: 1 },
      ],
      { duration: FLY_MS, easing: 'cubic-bezier(0.2, 0.7, 0.25, 1.12)', fill: 'backwards' },
    );
    await flight.finished.catch(() => {});
    if (!isOver) landed(seat, orb);
  }

  return {
    run() {
      fit();
      if (!woven || isCalm()) return;
      resized.observe(net);
      frame = requestAnimationFrame(step);
    },
    async settle(winners) {
      if (!woven) return show(winners);
      const seated = winners.map(() => make('span', { className: 'orb' }));
      orbs.replaceChildren(...seated);
      net.dataset.settling = '';
      await pause(GATHER_MS);
      const rising = [];
      for (const [seat, winner] of winners.entries()) {
        if (isOver) return;
        rising.push(rise(seated[seat], winner, seat));
        if (seat < winners.length - 1) await pause(gapMs(winners.length));
      }
      await Promise.all(rising);
      if (!isOver) show(winners);
    },
    show(winners) {
      fit();
      show(winners);
    },
    stop() {
      isOver = true;
      halt();
    },
  };
}

/** How long it takes until `seats` winners have risen, in milliseconds. */
export const networkMs = (seats) => GATHER_MS + (seats - 1) * gapMs(seats) + AIM_MS + FLY_MS;

function seatOf(winner) {
  const orb = make('span', { className: 'orb' }, digits(winner));
  orb.dataset.winner = winner;
  return orb;
}

/** `wanted` of the numbers from 1 to `count`, in any order. */
function deal(count, wanted) {
  const numbers = Array.from({ length: count }, (_, i) => i + 1);
  for (let i = 0; i < wanted; i += 1) {
    const j = i + any(count - i);
    [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
  }
  return numbers.slice(0, wanted);
}

const any = (below) => Math.floor(Math.random() * below);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
