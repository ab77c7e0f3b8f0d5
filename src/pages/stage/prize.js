// Prize on the stage: its image, grade, name and number of winners; and the rows of earlier
// results.

import { byId, digits, isLocalImage, make, setShown, setText } from "../shared/dom.js";
import { validWinners } from "../shared/event.js";
import { isolate } from "../shared/i18n.js";

/** Longest name, in characters, per size of type; longer ones take the smallest. */
const NAME_SIZES = [
  [10, 'short'],
  [22, 'plain'],
  [60, 'long'],
];
/** Time after which a picture that did not come is asked for again. */
const IMAGE_RETRY_MS = 5_000;
const BOARD_ROWS_MAX = 5;
const BOARD_NUMBERS_MAX = 10;
const STRIP_ROWS_MAX = 4;
const STRIP_NUMBERS_MAX = 4;

/** Wires the prize's image, whose shape the style sheet needs. */
export function wirePrizeImage() {
  const image = byId('prize-image');
  const box = byId('prize');
  image.addEventListener('load', () => {
    image.style.setProperty('--ratio', image.naturalWidth / image.naturalHeight);
    box.dataset.picture = 'shown';
  });
  image.addEventListener('error', () => {
    box.dataset.picture = 'none';
    // After an outage it is there again, and no render would ask for it.
    const { src } = image;
    setTimeout(() => image.src === src && (image.src = src), IMAGE_RETRY_MS);
  });
}

export function renderPrize(draw, t) {
  renderImage(draw.prize_image);
  const grade = draw.prize_grade ?? (draw.prize_rank > 0 ? t('rank', draw.prize_rank) : '');
  setText('prize-grade', grade);
  setShown('prize-grade', grade !== '');
  setText('prize-name', draw.prize_name);
  const length = [...draw.prize_name].length;
  byId('prize-name').dataset.size = NAME_SIZES.find(([most]) => length <= most)?.[1] ?? 'endless';
  setText('prize-seats', t('seats', draw.winner_count));
}

function renderImage(path) {
  const image = byId('prize-image');
  const box = byId('prize');
  if (!isLocalImage(path)) {
    image.removeAttribute('src');
    box.dataset.picture = 'none';
  } else if (image.getAttribute('src') !== path) {
    delete box.dataset.picture;
    image.src = path;
  }
}

/** Renders the board between draws. */
export function renderBoard(results, t) {
  const rows = results.slice(0, BOARD_ROWS_MAX).map((result) => {
    const numbers = validWinners(result);
    const shown = numbers.slice(0, BOARD_NUMBERS_MAX);
    const chips = shown.map((number) => make('span', { className: 'chip', 'data-winner': number }, digits(number)));
    const hidden = numbers.length - shown.length;
    const more = hidden > 0 ? make('span', { className: 'more' }, t('andMore', hidden)) : null;
    return make('li', {}, prizeName(result), make('span', { className: 'chips' }, chips, more));
  });
  byId('board-rows').replaceChildren(...rows);
}

/** Renders the strip of earlier winners at the foot of the stage. */
export function renderStrip(results, t) {
  const shown = results.filter((result) => validWinners(result).length > 0).slice(0, STRIP_ROWS_MAX);
  setShown('strip', shown.length > 0);
  const rows = shown.map((result) => {
    const numbers = validWinners(result);
    const text = numbers.slice(0, STRIP_NUMBERS_MAX).map(digits).join(' · ');
    const hidden = numbers.length - STRIP_NUMBERS_MAX;
    return make('li', {}, prizeName(result), make('b', {}, hidden > 0 ? `${text} ${t('andMore', hidden)}` : text));
  });
  byId('strip-rows').replaceChildren(...rows);
}

/** The name of a result's prize, with its grade. */
const prizeName = ({ prize_grade: grade, prize_name: name }) =>
  make('span', { className: 'prize-name', dir: 'auto' }, grade ? `${grade} · ${isolate(name)}` : name);
