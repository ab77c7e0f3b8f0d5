// The prize on the stage: its picture, its grade, its name, and how many will win it; and the rows that look back on earlier prizes.

import { byId, digits, make, say, show } from "../shared/dom.js";
import { ownImage, standing } from "./scene.js";

/** The longest name, in letters, for each size of type; longer ones take the smallest. */
const NAME_SIZES = [
  [10, 'short'],
  [22, 'plain'],
  [60, 'long'],
];
const ROWS_MAX = 5;
const STRIP_MAX = 4;
const ROW_NUMBERS_MAX = 10;
const STRIP_NUMBERS_MAX = 4;

/** Gives { render(draw, t) }. */
export function makePrize() {
  const picture = byId('prize-image');
  const box = byId('prize');
  picture.addEventListener('load', () => {
    picture.style.setProperty('--ratio', picture.naturalWidth / picture.naturalHeight);
    box.dataset.picture = 'shown';
  });
  picture.addEventListener('error', () => {
    box.dataset.picture = 'none';
  });

  return {
    render(draw, t) {
      const image = ownImage(draw.prize_image);
      if (!image) {
        picture.removeAttribute('src');
        box.dataset.picture = 'none';
      } else if (picture.getAttribute('src') !== image) {
        delete box.dataset.picture;
        picture.src = image;
      }
      const grade = draw.prize_grade ?? (draw.prize_rank > 0 ? t('rank', draw.prize_rank) : '');
      say('prize-grade', grade);
      show('prize-grade', grade !== '');
      say('prize-name', draw.prize_name);
      byId('prize-name').dataset.size = NAME_SIZES.find(([most]) => [...draw.prize_name].length <= most)?.[1] ?? 'endless';
      say('prize-seats', t('seats', draw.winner_count));
    },
  };
}

/** The rows of the board between draws. */
export function renderBoard(results, t) {
  byId('board-rows').replaceChildren(
    ...results.slice(0, ROWS_MAX).map((result) => {
      const numbers = standing(result);
      const shown = numbers.slice(0, ROW_NUMBERS_MAX).map((number) => {
        const chip = make('span', { className: 'chip' }, digits(number));
        chip.dataset.winner = number;
        return chip;
      });
      const more = numbers.length > shown.length ? make('span', { className: 'more' }, t('andMore', numbers.length - shown.length)) : null;
      return make('li', {}, make('span', { className: 'of' }, result.prize_name), make('span', { className: 'chips' }, shown, more));
    }),
  );
}

/** The strip at the foot of the stage. */
export function renderStrip(results, t) {
  const shown = results.filter((result) => standing(result).length > 0).slice(0, STRIP_MAX);
  show('strip', shown.length > 0);
  byId('strip-rows').replaceChildren(
    ...shown.map((result) => {
      const numbers = standing(result);
      const some = numbers.slice(0, STRIP_NUMBERS_MAX).map(digits).join(' · ');
      const more = numbers.length > STRIP_NUMBERS_MAX ? ` ${t('andMore', numbers.length - STRIP_NUMBERS_MAX)}` : '';
      return make('li', {}, make('span', { className: 'of' }, result.prize_name), make('b', {}, some + more));
    }),
  );
}
