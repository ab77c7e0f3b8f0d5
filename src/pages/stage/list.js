// The quick list: up to 500 winners at once, in order of their numbers so that people find their own, on pages that turn by themselves.

import { digits, make } from "../shared/dom.js";

const FLICKER_MS = 120;
/** One cell in so many changes at a time. */
const FLICKERING = 10;
const GATHER_MS = 900;
const FILL_MS = 2_400;
const POP_MS = 420;
const PAGE_MS = 7_000;
const LANDINGS_MAX = 12;

/** How many a page holds, columns by rows: the fewer winners, the larger each; and never so many that the last row could not read them. */
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

/** `landed(step)` is called as groups of numbers appear; `turned(page, pages)` when a page is shown. */
export function makeList({ floor, count, seats, isCalm, landed, turned }) {
  const sheet = make('div', { className: 'sheet' });
  floor.append(sheet);
  let page = 0;
  let pages = [];
  let timer = null;
  let isOver = false;

  function shape(wanted) {
    const [columns, rows] = SHAPES.find(([columns, rows]) => columns * rows >= wanted) ?? SHAPES.at(-1);
    sheet.style.setProperty('--columns', columns);
    sheet.style.setProperty('--rows', rows);
    sheet.style.setProperty('--digits', Math.max(3, String(count).length));
    return columns * rows;
  }

  function flicker() {
    for (let i = 0; i < Math.max(1, sheet.childElementCount / FLICKERING); i += 1) {
      const cell = sheet.children[Math.floor(Math.random() * sheet.childElementCount)];
      cell.textContent = digits(1 + Math.floor(Math.random() * count));
    }
  }

  function paginate(winners) {
    const sorted = [...winners].sort((a, b) => a - b);
    const held = shape(sorted.length);
    // Pages of one length, so that the last one is not a lonely number.
    const parts = Math.ceil(sorted.length / held);
    const each = Math.ceil(sorted.length / parts);
    shape(each);
    pages = Array.from({ length: parts }, (_, part) => sorted.slice(part * each, (part + 1) * each));
    sheet.dataset.pages = parts;
  }

  /** All winners are in the page at all times; a page of them is seen. */
  function fill() {
    const cells = pages.flatMap((numbers, part) => numbers.map((number) => cellOf(number, part)));
    sheet.replaceChildren(...cells);
  }

  function turn(to) {
    page = (to + pages.length) % pages.length;
    for (const cell of sheet.children) cell.hidden = Number(cell.dataset.page) !== page;
    sheet.dataset.shown = page + 1;
    turned(page + 1, pages.length);
  }

  function leaf() {
    clearInterval(timer);
    timer = pages.length > 1 ? setInterval(() => turn(page + 1), PAGE_MS) : null;
  }

  function show(winners) {
    isOver = true;
    clearInterval(timer);
    delete sheet.dataset.running;
    if (pages.length === 0) {
      paginate(winners);
      fill();
    }
    turn(page);
    leaf();
    sheet.dataset.settled = '';
  }

  return {
    run() {
      const held = shape(seats);
      sheet.dataset.running = '';
      const cells = Array.from({ length: Math.min(seats, held) }, () => make('span', { className: 'cell' }, isCalm() ? '···' : ''));
      sheet.replaceChildren(...cells);
      if (isCalm()) return;
      for (const cell of cells) cell.textContent = digits(1 + Math.floor(Math.random() * count));
      timer = setInterval(flicker, FLICKER_MS);
    },
    async settle(winners) {
      await pause(GATHER_MS);
      if (isOver) return;
      clearInterval(timer);
      delete sheet.dataset.running;
      paginate(winners);
      fill();
      turn(0);
      const shown = [...sheet.children].filter((cell) => !cell.hidden);
      const gap = Math.min(320, FILL_MS / shown.length);
      const pops = shown.map((cell, i) =>
        cell.animate([{ transform: 'scale(0.4)', opacity: 0 }, { transform: 'none', opacity: 1 }], {
          duration: POP_MS,
          delay: i * gap,
          easing: 'cubic-bezier(0.2, 0.8, 0.3, 1.3)',
          fill: 'backwards',
        }),
      );
      const every = Math.ceil(shown.length / LANDINGS_MAX);
      pops.forEach((pop, i) => {
        if (i % every === 0) pop.finished.then(() => !isOver && landed(i / every, shown[i]), () => {});
      });
      await Promise.all(pops.map((pop) => pop.finished.catch(() => {})));
      if (!isOver) show(winners);
    },
    show,
    /** Turns to the next page or back, by hand. */
    turn(by) {
      if (pages.length < 2) return;
      turn(page + by);
      leaf();
    },
    stop() {
      isOver = true;
      clearInterval(timer);
    },
  };
}

/** How long it takes until the first page is full, in milliseconds. */
export const listMs = () => GATHER_MS + FILL_MS + POP_MS + 200;

function cellOf(number, page) {
  const cell = make('span', { className: 'cell' }, digits(number));
  cell.dataset.winner = number;
  cell.dataset.page = page;
  return cell;
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
