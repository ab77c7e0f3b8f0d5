// List animation: up to 500 winners at once, sorted by number so that people find their own, on
// pages that turn by themselves.

import { delay, digits, make } from "../shared/dom.js";
import { placesOf } from "./pool.js";

const FLICKER_MS = 120;
/** One in this many cells changes at a time. */
const FLICKER_SHARE = 10;
const GATHER_MS = 900;
const FILL_MS = 2_400;
const POP_MS = 420;
const PAGE_MS = 7_000;
const LANDINGS_MAX = 12;

/**
 * Columns and rows of a page: the fewer winners, the larger each; the last shape is still legible
 * from the last row.
 */
const SHAPES = [
  [1, 1],
  [2, 1],
  [3, 1],
  [3, 2],
  [4, 2],
  [5, 2],
  [5, 3],
  [5, 4],
  [6, 4],
  [6, 5],
  [8, 5],
  [10, 6],
];

export class ListAnimation {
  /** `onPage(page, pages)` is called when a page is shown. */
  constructor({ area, pool, winnerCount, isReducedMotion, onLand, onPage }) {
    Object.assign(this, { pool, winnerCount, isReducedMotion, onLand, onPage });
    this.sheet = make('div', { className: 'sheet' });
    area.append(this.sheet);
    this.page = 0;
    this.pages = [];
    this.timer = null;
    this.isOver = false;
  }

  /** Milliseconds until the first page is full. */
  static durationMs() {
    return GATHER_MS + FILL_MS + POP_MS + 200;
  }

  run() {
    const capacity = this.setShape(this.winnerCount);
    this.sheet.dataset.running = '';
    const isStill = this.isReducedMotion();
    const cell = () => make('span', { className: 'cell' }, isStill ? '···' : this.randomNumber());
    this.sheet.replaceChildren(...Array.from({ length: Math.min(this.winnerCount, capacity) }, cell));
    if (!isStill) this.timer = setInterval(() => this.flicker(), FLICKER_MS);
  }

  /** Fills in the winners, in `pace` times the usual time. */
  async settle(winners, pace) {
    await delay(pace * GATHER_MS);
    if (this.isOver) return;
    this.fill(winners);
    this.showPage(0);
    const shown = [...this.sheet.children].filter((cell) => !cell.hidden);
    const every = Math.ceil(shown.length / LANDINGS_MAX);
    const pops = shown.map((cell, i) => popIn(cell, i * Math.min(320, FILL_MS / shown.length) * pace, pace));
    pops.forEach((pop, i) => {
      if (i % every === 0) pop.finished.then(() => !this.isOver && this.onLand(i / every, shown[i]), () => {});
    });
    await Promise.all(pops.map((pop) => pop.finished.catch(() => {})));
    if (!this.isOver) this.show(winners);
  }

  show(winners) {
    this.stop();
    if (this.pages.length === 0) this.fill(winners);
    this.showPage(this.page);
    this.startTurning();
    this.sheet.dataset.settled = '';
  }

  /** Turns pages forwards or backwards, by hand. */
  turnPage(by) {
    if (this.pages.length < 2) return;
    this.showPage(this.page + by);
    this.startTurning();
  }

  stop() {
    this.isOver = true;
    clearInterval(this.timer);
  }

  randomNumber() {
    return digits(this.pool.random());
  }

  flicker() {
    const cells = this.sheet.children;
    for (let i = 0; i < Math.max(1, cells.length / FLICKER_SHARE); i += 1) {
      cells[Math.floor(Math.random() * cells.length)].textContent = this.randomNumber();
    }
  }

  /** Sets the smallest shape with room for `wanted` cells; gives its capacity. */
  setShape(wanted) {
    const [columns, rows] = SHAPES.find(([columns, rows]) => columns * rows >= wanted) ?? SHAPES.at(-1);
    this.sheet.style.setProperty('--columns', columns);
    this.sheet.style.setProperty('--rows', rows);
    this.sheet.style.setProperty('--digits', placesOf(Math.max(this.pool.highest, ...this.pages.flat())));
    return columns * rows;
  }

  /** Puts all winners into the sheet; only the cells of one page are visible. */
  fill(winners) {
    clearInterval(this.timer);
    delete this.sheet.dataset.running;
    const sorted = [...winners].sort((a, b) => a - b);
    this.pages = [sorted];
    const pages = Math.ceil(sorted.length / this.setShape(sorted.length));
    // Pages of equal length, so that the last one is not a single number.
    const length = Math.ceil(sorted.length / pages);
    this.setShape(length);
    this.pages = Array.from({ length: pages }, (_, page) => sorted.slice(page * length, (page + 1) * length));
    this.sheet.dataset.pages = pages;
    this.sheet.replaceChildren(...this.pages.flatMap((numbers, page) => numbers.map((number) => winnerCell(number, page))));
  }

  showPage(page) {
    const count = this.pages.length;
    this.page = (page + count) % count;
    for (const cell of this.sheet.children) cell.hidden = Number(cell.dataset.page) !== this.page;
    this.sheet.dataset.shown = this.page + 1;
    this.onPage(this.page + 1, count);
  }

  startTurning() {
    clearInterval(this.timer);
    this.timer = this.pages.length > 1 ? setInterval(() => this.showPage(this.page + 1), PAGE_MS) : null;
  }
}

function popIn(cell, delayMs, pace) {
  return cell.animate([{ transform: 'scale(0.4)', opacity: 0 }, { transform: 'none', opacity: 1 }], {
    duration: pace * POP_MS,
    delay: delayMs,
    easing: 'cubic-bezier(0.2, 0.8, 0.3, 1.3)',
    fill: 'backwards',
  });
}

const winnerCell = (number, page) =>
  make('span', { className: 'cell', 'data-winner': number, 'data-page': page }, digits(number));
