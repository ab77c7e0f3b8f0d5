// Network animation: every number a node, sparks that run between them, and winners that rise out
// of it.
//
// The graph is painted once. Only a small set of sparks on a canvas above it moves, however many
// numbers there are, and the winners, which are elements. Numbers are dealt to nodes at random
// before a winner is known.

import { delay, digits, make } from "../shared/dom.js";
import { layOut, paintGraph, paintLitNodes } from "./graph.js";
import { placesOf } from "./pool.js";

const NODES_MAX = 1_000;
const SPARKS = 16;
const HOP_MS = 150;
const FADE_MS = 620;
const GATHER_MS = 500;
const AIM_MS = 620;
const FLY_MS = 700;

/** Time between two rising winners: slow for a few, brisk for ten. */
const intervalMs = (winnerCount) => (winnerCount <= 3 ? 1_250 : winnerCount <= 5 ? 950 : 590);

export class NetworkAnimation {
  constructor({ area, pool, winnerCount, isReducedMotion, onLand }) {
    Object.assign(this, { pool, isReducedMotion, onLand });
    this.graphCanvas = make('canvas', { className: 'graph' });
    this.sparkCanvas = make('canvas', { className: 'sparks' });
    this.orbs = make('div', { className: 'orbs', 'data-count': winnerCount });
    this.network = make('div', { className: 'network' }, this.graphCanvas, this.sparkCanvas, this.orbs);
    this.makeRoomFor([]);
    area.append(this.network);
    this.labels = pool.deal(NODES_MAX);
    this.context = this.sparkCanvas.getContext('2d');
    this.graph = null;
    this.sparks = [];
    this.targets = [];
    this.frame = null;
    this.pace = 1;
    this.isOver = false;
    this.resizeObserver = new ResizeObserver(() => this.fit());
  }

  /** Milliseconds until all winners have risen. */
  static durationMs({ winnerCount }) {
    return GATHER_MS + (winnerCount - 1) * intervalMs(winnerCount) + AIM_MS + FLY_MS;
  }

  run() {
    this.fit();
    if (!this.graph || this.isReducedMotion()) return;
    this.resizeObserver.observe(this.network);
    this.requestFrame();
  }

  /** Lets the winners rise, in `pace` times the usual time. */
  async settle(winners, pace) {
    this.pace = pace;
    this.makeRoomFor(winners);
    if (!this.graph) return this.show(winners);
    const orbs = winners.map(() => make('span', { className: 'orb' }));
    this.orbs.replaceChildren(...orbs);
    this.network.dataset.settling = '';
    await delay(pace * GATHER_MS);
    const rising = [];
    for (const [seat, winner] of winners.entries()) {
      if (this.isOver) return;
      rising.push(this.rise(orbs[seat], winner, seat));
      if (seat < winners.length - 1) await delay(pace * intervalMs(winners.length));
    }
    await Promise.all(rising);
    if (!this.isOver) this.show(winners);
  }

  show(winners) {
    this.makeRoomFor(winners);
    this.fit();
    this.stop();
    if (this.graph) this.context.clearRect(0, 0, this.sparkCanvas.width, this.sparkCanvas.height);
    this.orbs.replaceChildren(
      ...winners.map((winner) => make('span', { className: 'orb', 'data-winner': winner }, digits(winner))),
    );
    this.network.dataset.settled = '';
  }

  /** Sizes the type for the pool's numbers and for these. */
  makeRoomFor(numbers) {
    this.network.style.setProperty('--digits', placesOf(Math.max(this.pool.highest, ...numbers)));
  }

  stop() {
    this.isOver = true;
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.resizeObserver.disconnect();
  }

  /** Lays out and paints the graph anew when its size has changed. */
  fit() {
    const { clientWidth: width, clientHeight: height } = this.network;
    if (width === 0 || (this.graph?.width === width && this.graph.height === height)) return;
    const { labels } = this;
    this.graph = layOut(labels.length, width, height);
    for (const canvas of [this.graphCanvas, this.sparkCanvas]) {
      canvas.width = Math.round(width * this.graph.scale);
      canvas.height = Math.round(height * this.graph.scale);
    }
    paintGraph(this.graphCanvas.getContext('2d'), this.graph, labels);
    const spark = () => ({ from: randomBelow(labels.length), to: null, sinceMs: 0, tookMs: 1 });
    this.sparks = Array.from({ length: Math.min(SPARKS, labels.length) }, spark);
  }

  requestFrame() {
    this.frame = requestAnimationFrame((nowMs) => this.step(nowMs));
  }

  step(nowMs) {
    const { context, graph } = this;
    context.setTransform(graph.scale, 0, 0, graph.scale, 0, 0);
    context.clearRect(0, 0, graph.width, graph.height);
    paintLitNodes(context, graph, this.labels, nowMs, FADE_MS);
    for (const spark of this.sparks) this.moveSpark(spark, nowMs);
    this.targets = this.targets.filter((target) => this.paintTarget(target, nowMs));
    this.requestFrame();
  }

  /** Moves a spark towards a neighbour, and on from there. */
  moveSpark(spark, nowMs) {
    const { context, graph } = this;
    if (spark.to === null || nowMs - spark.sinceMs >= spark.tookMs) {
      if (spark.to !== null) spark.from = spark.to;
      graph.litAt[spark.from] = nowMs;
      const neighbours = graph.neighbours[spark.from];
      const staysNear = neighbours.length > 0 && Math.random() > 0.03;
      spark.to = staysNear ? neighbours[randomBelow(neighbours.length)] : randomBelow(this.labels.length);
      spark.sinceMs = nowMs;
      spark.tookMs = HOP_MS * (0.6 + Math.random() * 0.8);
    }
    const head = Math.min(1, (nowMs - spark.sinceMs) / spark.tookMs);
    const tail = Math.max(0, head - 0.6);
    const [x, y] = [graph.x[spark.from], graph.y[spark.from]];
    const [dx, dy] = [graph.x[spark.to] - x, graph.y[spark.to] - y];
    context.strokeStyle = 'rgb(255 214 120 / 85%)';
    context.lineWidth = graph.gap * 0.07 + 1;
    context.beginPath();
    context.moveTo(x + dx * tail, y + dy * tail);
    context.lineTo(x + dx * head, y + dy * head);
    context.stroke();
  }

  /** Paints a ring that closes in on a winner's node; returns false once it is closed. */
  paintTarget({ node, sinceMs }, nowMs) {
    const { context, graph } = this;
    const share = Math.min(1, (nowMs - sinceMs) / (this.pace * AIM_MS));
    const radius = graph.gap * 0.4 + (1 - share) ** 2 * Math.min(graph.width, graph.height) * 0.42;
    context.strokeStyle = `rgb(255 209 102 / ${Math.round(20 + share * 80)}%)`;
    context.lineWidth = 2 + share * 4;
    context.beginPath();
    context.arc(graph.x[node], graph.y[node], radius, 0, 7);
    context.stroke();
    return share < 1;
  }

  /** Lets a winner rise from its node to its seat. */
  async rise(orb, winner, seat) {
    const dealt = this.labels.indexOf(winner);
    const node = dealt >= 0 ? dealt : randomBelow(this.labels.length);
    this.targets.push({ node, sinceMs: performance.now() });
    await delay(this.pace * AIM_MS);
    if (this.isOver) return;
    orb.textContent = digits(winner);
    orb.dataset.winner = winner;
    const [home, area] = [orb.getBoundingClientRect(), this.network.getBoundingClientRect()];
    const x = area.left + this.graph.x[node] - home.left - home.width / 2;
    const y = area.top + this.graph.y[node] - home.top - home.height / 2;
    const flight = orb.animate(
      [
        { transform: `translate(${x}px, ${y}px) scale(0.1)`, opacity: 0 },
        { opacity: 1, offset: 0.25 },
        { transform: 'none', opacity: 1 },
      ],
      { duration: this.pace * FLY_MS, easing: 'cubic-bezier(0.2, 0.7, 0.25, 1.12)', fill: 'backwards' },
    );
    await flight.finished.catch(() => {});
    if (!this.isOver) this.onLand(seat, orb);
  }
}

const randomBelow = (limit) => Math.floor(Math.random() * limit);
