// The list of prizes: add, change, order, remove, picture, and import.

import { importPrizes } from "./import.js";
import { Refusal } from "../shared/api.js";
import { make } from "../shared/dom.js";

const IMAGE_BYTES_MAX = 5 << 20;
/** A picture's longest side, as the server keeps it. */
const IMAGE_SIDE_MAX = 1600;
const MODES = ['slot', 'card', 'network', 'list'];

export function build(desk) {
  const { t } = desk;
  let prizes = [];
  let dragged = null;

  const heading = make('h2');
  const add = make('button', { type: 'button', id: 'add-prize', className: 'main', onclick: () => edit(null) });
  const bring = make('button', { type: 'button', id: 'import-prizes', onclick: async () => (await importPrizes(desk)) && load() });
  const list = make('ol', { id: 'prizes', className: 'prizes' });
  const element = make('section', { className: 'card' }, make('div', { className: 'row between' }, heading, make('div', { className: 'row' }, bring, add)), list);

  async function load() {
    const data = await desk.attempt(() => desk.call('GET', 'prizes'));
    if (!data) return;
    prizes = data.prizes;
    render();
  }

  function render() {
    heading.textContent = t('prizes');
    add.textContent = t('addPrize');
    bring.textContent = t('import');
    list.replaceChildren(...(prizes.length ? prizes.map(row) : [make('li', { className: 'quiet' }, t('noPrizes'))]));
  }

  function row(prize, place) {
    const { prize_id: id, prize_name: name } = prize;
    const parts = [
      prize.prize_grade,
      t('rankIs', prize.prize_rank),
      t('left', prize.remaining, prize.quantity),
      prize.draw_mode && t('modeAndCount', t(`mode_${prize.draw_mode}`), prize.winner_count ?? 1),
      prize.needs_address && t('needsAddress'),
    ];
    const button = (text, label, onclick, more = {}) =>
      make('button', { type: 'button', className: 'small', 'aria-label': `${label}: ${name}`, title: label, onclick, ...more }, text);
    return make(
      'li',
      {
        'data-prize': id,
        draggable: true,
        ondragstart: () => (dragged = place),
        ondragover: (over) => over.preventDefault(),
        ondrop: (dropped) => {
          dropped.preventDefault();
          if (dragged !== null && dragged !== place) move(dragged, place);
          dragged = null;
        },
      },
      prize.prize_image ? make('img', { src: prize.prize_image, alt: '', loading: 'lazy' }) : make('span', { className: 'picture', 'aria-hidden': 'true' }),
      make('div', { className: 'grow' }, make('strong', {}, name), make('p', { className: 'quiet' }, parts.filter(Boolean).join(' · '))),
      make(
        'div',
        { className: 'row' },
        button('↑', t('up'), () => move(place, place - 1), { disabled: place === 0 }),
        button('↓', t('down'), () => move(place, place + 1), { disabled: place === prizes.length - 1 }),
        button(t('change'), t('change'), () => edit(prize)),
        button(t('remove'), t('remove'), () => remove(prize)),
      ),
    );
  }

  async function move(from, to) {
    const order = prizes.map((prize) => prize.prize_id);
    order.splice(to, 0, ...order.splice(from, 1));
    await desk.attempt(() => desk.call('POST', 'prizes/order', { order }));
    await load();
    const id = order[to];
    list.querySelector(`[data-prize="${id}"] button:not(:disabled)`)?.focus();
  }

  async function remove(prize) {
    const isSure = await desk.ask({ title: t('removeTitle'), text: prize.prize_name, yes: t('remove'), danger: true });
    if (!isSure) return;
    await desk.attempt(() => desk.call('DELETE', `prizes/${prize.prize_id}`), t('removed'));
    await load();
  }

  /** The picture that was chosen, stored. */
  async function upload(chosen) {
    const file = await shrunk(chosen);
    if (file.size > IMAGE_BYTES_MAX) throw new Refusal('BODY_TOO_LARGE', '', 413);
    const { prize_image: path } = await desk.call('POST', 'images', file, { type: file.type, patience: 60_000 });
    return path;
  }

  async function edit(prize) {
    const next = Math.max(0, ...prizes.map((one) => one.prize_rank)) + 1;
    const fields = [
      { name: 'prize_name', label: t('prizeName'), value: prize?.prize_name, required: true, maxLength: 200 },
      { name: 'prize_grade', label: t('grade'), value: prize?.prize_grade, maxLength: 200, hint: t('gradeHint') },
      { name: 'prize_rank', label: t('rank'), type: 'number', value: prize?.prize_rank ?? next, min: 0, max: 100000, required: true },
      { name: 'quantity', label: t('quantity'), type: 'number', value: prize?.quantity ?? 1, min: 1, max: 100000, required: true },
      { name: 'draw_mode', label: t('mode'), value: prize?.draw_mode ?? 'slot', options: MODES.map((mode) => [mode, t(`mode_${mode}`)]) },
      { name: 'winner_count', label: t('winnerCount'), type: 'number', value: prize?.winner_count ?? 1, min: 1, max: 500 },
      { name: 'repeat_winners', label: t('repeatWinners'), type: 'checkbox', value: prize?.repeat_winners },
      { name: 'needs_address', label: t('needsAddress'), type: 'checkbox', value: prize?.needs_address },
      { name: 'group', label: t('groupOnly'), value: prize?.group, maxLength: 200 },
      { name: 'picture', label: t('picture'), type: 'file', accept: 'image/*', value: '' },
    ];
    const picture = { file: null };
    fields.at(-1).onchange = (changed) => (picture.file = changed.target.files[0] ?? null);
    const answer = await desk.ask({ title: prize ? t('changePrize') : t('addPrize'), yes: t('save'), fields });
    if (!answer) return;
    const saved = await desk.attempt(async () => {
      const path = picture.file ? await upload(picture.file) : prize?.prize_image;
      const { picture: _, ...body } = answer;
      for (const [name, value] of Object.entries(body)) if (value === '') delete body[name];
      if (path) body.prize_image = path;
      return desk.call(prize ? 'PUT' : 'POST', prize ? `prizes/${prize.prize_id}` : 'prizes', body);
    }, t('saved'));
    if (saved) await load();
  }

  load();
  render();
  return { element, reworded: render, opened: load };
}

/** A photograph at the size that is kept: those of today's cameras are larger than a small box should have to open. What cannot be read is sent as it is. */
async function shrunk(file) {
  try {
    const picture = await createImageBitmap(file);
    const scale = IMAGE_SIDE_MAX / Math.max(picture.width, picture.height);
    if (scale >= 1) return file;
    const canvas = make('canvas', { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) });
    canvas.getContext('2d').drawImage(picture, 0, 0, canvas.width, canvas.height);
    const type = file.type === 'image/jpeg' ? 'image/jpeg' : 'image/png';
    return await new Promise((done) => canvas.toBlob((blob) => done(blob ?? file), type, 0.9));
  } catch {
    return file;
  }
}
