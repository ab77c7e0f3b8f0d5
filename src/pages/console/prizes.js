// Prizes tab: add, change, reorder, remove, illustrate and import prizes.

import { Refusal } from "../shared/api.js";
import { make } from "../shared/dom.js";
import { importPrizes } from "./import.js";

const IMAGE_BYTES_MAX = 5 << 20;
/** Longest side of an image, as the server keeps it. */
const IMAGE_SIDE_MAX = 1600;
const JPEG_QUALITY = 0.9;
const UPLOAD_TIMEOUT_MS = 60_000;
const MODES = ['slot', 'card', 'network', 'list'];
/** Lengths of a show in seconds; empty for as long as the animation takes. */
const SHOW_SECONDS = ['', 2, 5, 9, 15];

export class Tab {
  constructor(app) {
    this.app = app;
    this.prizes = [];
    this.dragged = null;
    this.heading = make('h2');
    this.addButton = make('button', { type: 'button', id: 'add-prize', className: 'main', onclick: () => this.edit(null) });
    this.importButton = make('button', { type: 'button', id: 'import-prizes', onclick: () => this.import() });
    this.list = make('ol', { id: 'prizes', className: 'prizes' });
    const buttons = make('div', { className: 'row' }, this.importButton, this.addButton);
    const header = make('div', { className: 'row between' }, this.heading, buttons);
    this.element = make('section', { className: 'card' }, header, this.list);
    // Another operator's change; what is being edited stands in its own dialog.
    app.listeners.add(({ type }) => {
      if (type === 'prizes_changed' && this.element.isConnected && this.dragged === null) this.load();
    });
    this.load();
    this.translate();
  }

  opened() {
    this.load();
  }

  async load() {
    const data = await this.app.attempt(() => this.app.call('GET', 'prizes'));
    if (!data) return;
    this.prizes = data.prizes;
    this.translate();
  }

  async import() {
    if (await importPrizes(this.app)) await this.load();
  }

  translate() {
    const { t } = this.app;
    this.heading.textContent = t('prizes');
    this.addButton.textContent = t('addPrize');
    this.importButton.textContent = t('import');
    const rows = this.prizes.map((prize, place) => this.row(prize, place));
    this.list.replaceChildren(...(rows.length ? rows : [make('li', { className: 'quiet' }, t('noPrizes'))]));
  }

  row(prize, place) {
    const { t } = this.app;
    const facts = [
      prize.prize_grade,
      t('rankIs', prize.prize_rank),
      t('left', prize.remaining, prize.quantity),
      prize.draw_mode && t('modeAndCount', t(`mode_${prize.draw_mode}`), prize.winner_count ?? 1),
      prize.show_seconds && `${t('showLength')} ${t('showSeconds', prize.show_seconds)}`,
      prize.needs_address && t('needsAddress'),
    ].filter(Boolean);
    const image = prize.prize_image
      ? make('img', { src: prize.prize_image, alt: '', loading: 'lazy' })
      : make('span', { className: 'picture', 'aria-hidden': 'true' });
    const description = make('p', { className: 'quiet' }, facts.join(' · '));
    return make(
      'li',
      {
        'data-prize': prize.prize_id,
        draggable: true,
        ondragstart: () => (this.dragged = place),
        // Also where it was dropped beside the list.
        ondragend: () => (this.dragged = null),
        ondragover: (drag) => drag.preventDefault(),
        ondrop: (drop) => this.drop(drop, place),
      },
      image,
      make('div', { className: 'grow' }, make('strong', {}, prize.prize_name), description),
      make('div', { className: 'row' }, this.rowButtons(prize, place)),
    );
  }

  rowButtons(prize, place) {
    const { t } = this.app;
    const button = (text, label, onclick, disabled = false) =>
      make(
        'button',
        { type: 'button', className: 'small', 'aria-label': `${label}: ${prize.prize_name}`, title: label, onclick, disabled },
        text,
      );
    return [
      button('↑', t('up'), () => this.move(place, place - 1), place === 0),
      button('↓', t('down'), () => this.move(place, place + 1), place === this.prizes.length - 1),
      button(t('change'), t('change'), () => this.edit(prize)),
      button(t('remove'), t('remove'), () => this.remove(prize)),
    ];
  }

  drop(drop, place) {
    drop.preventDefault();
    if (this.dragged !== null && this.dragged !== place) this.move(this.dragged, place);
    this.dragged = null;
  }

  async move(from, to) {
    const seen = this.prizes.map((prize) => prize.prize_id);
    const order = [...seen];
    order.splice(to, 0, ...order.splice(from, 1));
    await this.app.attempt(() => this.app.call('POST', 'prizes/order', { order, made_from: seen }));
    await this.load();
    this.list.querySelector(`[data-prize="${order[to]}"] button:not(:disabled)`)?.focus();
  }

  async remove(prize) {
    const { app } = this;
    const { t } = app;
    const isSure = await app.ask({ title: t('removeTitle'), text: prize.prize_name, yes: t('remove'), danger: true });
    if (!isSure) return;
    await app.attempt(() => app.call('DELETE', `prizes/${prize.prize_id}`), t('removed'));
    await this.load();
  }

  /**
   * Asks for a prize's fields and saves it; null makes a new one. `typed`: the fields of a save that
   * was refused.
   */
  async edit(prize, typed = prize) {
    const { app } = this;
    const { t } = app;
    const fields = this.fields(prize, typed);
    const answer = await app.ask({ title: prize ? t('changePrize') : t('addPrize'), yes: t('save'), fields });
    if (!answer) return;
    const saved = await app.attempt(async () => {
      const { picture, ...body } = answer;
      const kept = picture.isRemoved ? undefined : prize?.prize_image;
      const path = picture.file ? await this.upload(picture.file) : kept;
      for (const [name, value] of Object.entries(body)) if (value === '') delete body[name];
      if (body.show_seconds) body.show_seconds = Number(body.show_seconds);
      if (path) body.prize_image = path;
      if (prize) body.version = prize.version;
      return app.call(prize ? 'PUT' : 'POST', prize ? `prizes/${prize.prize_id}` : 'prizes', body);
    }, t('saved'));
    // A refused change may mean that another operator was first: the list shows what they did.
    await this.load();
    if (!saved) await this.edit(this.prizes.find(({ prize_id: id }) => id === prize?.prize_id) ?? null, answer);
  }

  fields(prize, typed) {
    const { t } = this.app;
    const nextRank = Math.max(0, ...this.prizes.map((each) => each.prize_rank)) + 1;
    const defaults = { prize_rank: nextRank, quantity: 1, draw_mode: 'slot', winner_count: 1 };
    const fields = [
      { name: 'prize_name', label: t('prizeName'), required: true, maxLength: 200 },
      { name: 'prize_grade', label: t('grade'), maxLength: 200, hint: t('gradeHint') },
      { name: 'prize_rank', label: t('rank'), type: 'number', min: 0, max: 100000, required: true },
      { name: 'quantity', label: t('quantity'), type: 'number', min: 1, max: 100000, required: true },
      { name: 'draw_mode', label: t('mode'), options: MODES.map((mode) => [mode, t(`mode_${mode}`)]) },
      { name: 'winner_count', label: t('winnerCount'), type: 'number', min: 1, max: 500 },
      { name: 'show_seconds', label: t('showLength'), options: SHOW_SECONDS.map((length) => [length, length ? t('showSeconds', length) : t('showLengthUsual')]) },
      { name: 'repeat_winners', label: t('repeatWinners'), type: 'checkbox' },
      { name: 'needs_address', label: t('needsAddress'), type: 'checkbox' },
      { name: 'group', label: t('groupOnly'), maxLength: 200 },
    ].map((each) => ({ ...each, value: typed?.[each.name] ?? defaults[each.name] }));
    return [...fields, { name: 'picture', label: t('picture'), type: 'picture', value: prize?.prize_image, chosen: typed?.picture, hint: t('removePicture') }];
  }

  /** Uploads an image; gives its path. */
  async upload(original) {
    const file = await convert(original);
    if (file.size > IMAGE_BYTES_MAX) throw new Refusal('BODY_TOO_LARGE', '', 413);
    const options = { type: file.type, timeoutMs: UPLOAD_TIMEOUT_MS };
    const { prize_image: path } = await this.app.call('POST', 'images', file, options);
    return path;
  }
}

/**
 * Converts a picture to what every browser shows: its colours in sRGB, whatever its profile, in a
 * format that the server reads, whatever the camera's, and in the size that is kept: a photograph of
 * 12 megapixels is more than a small server should decode. An opaque picture becomes a JPEG. A file
 * that the browser cannot read is sent unchanged.
 */
async function convert(file) {
  try {
    const image = await createImageBitmap(file);
    const scale = Math.min(1, IMAGE_SIDE_MAX / Math.max(image.width, image.height));
    const canvas = make('canvas', { width: Math.round(image.width * scale), height: Math.round(image.height * scale) });
    const context = canvas.getContext('2d', { colorSpace: 'srgb' });
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const type = isOpaque(context, canvas) ? 'image/jpeg' : 'image/png';
    return await new Promise((resolve) => canvas.toBlob((blob) => resolve(blob ?? file), type, JPEG_QUALITY));
  } catch {
    return file;
  }
}

function isOpaque(context, { width, height }) {
  const { data } = context.getImageData(0, 0, width, height);
  for (let at = 3; at < data.length; at += 4) if (data[at] < 255) return false;
  return true;
}
