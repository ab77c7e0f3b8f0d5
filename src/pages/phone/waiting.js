// What a waiting phone shows below its number: how many take part, and the prizes that are left.
//
// The list is asked for once, spread over a while, so that a hall does not ask at one instant. Each
// announcement is then counted from it. A void or a reset gives prizes back: then it is asked for anew.

import { call } from "../shared/api.js";
import { byId, delay, make } from "../shared/dom.js";
import { language } from "../shared/i18n.js";

const SPREAD_MS = 2_000;
const SPREAD_PER_PHONE_MS = 2;
const PRIZES_MAX = 30;
const WORDS = {
  ko: {
    summary: (prizes, people) => `남은 경품 ${prizes}개 · 참가자 ${people}명`,
    left: (left) => `${left}개`,
    more: (more) => `외 ${more}가지`,
  },
  en: {
    summary: (prizes, people) => `${prizes} prizes left · ${people} participants`,
    left: (left) => `${left} left`,
    more: (more) => `and ${more} more`,
  },
};
const VIEWS = ['waiting', 'lost'];

export class Waiting {
  constructor(model) {
    this.model = model;
    this.prizes = [];
    /** The last announced draw that the list counts. */
    this.counted = Infinity;
    this.shown = '';
    this.isDue = false;
    this.list = make('ul');
    this.summary = make('summary');
    this.element = make('details', { id: 'prizes', hidden: true }, this.summary, this.list);
    byId('now').after(this.element);
    this.load();
  }

  async load() {
    if (this.isDue) return;
    this.isDue = true;
    const { event, state } = this.model;
    await delay(Math.random() * (SPREAD_MS + state.participant_count * SPREAD_PER_PHONE_MS));
    this.isDue = false;
    const found = await call('GET', `/results?event_id=${event}`).catch(() => null);
    if (!found) return;
    this.prizes = found.prizes;
    this.counted = Math.max(0, ...found.draws.map((draw) => draw.draw_id));
    this.render(document.body.dataset.state);
  }

  render(view) {
    this.count(this.model.state.announced);
    const left = this.prizes.filter(({ remaining }) => remaining > 0);
    this.element.hidden = left.length === 0 || !VIEWS.includes(view);
    if (this.element.hidden) return;
    const words = WORDS[language()];
    const total = left.reduce((sum, { remaining }) => sum + remaining, 0);
    this.summary.textContent = words.summary(total, this.model.state.participant_count);
    const shown = JSON.stringify([language(), left]);
    if (shown === this.shown) return;
    this.shown = shown;
    const row = ({ prize_name: name, prize_grade: grade, remaining }) =>
      make('li', {}, make('span', { dir: 'auto' }, grade ? `${grade} · ${name}` : name), make('b', {}, words.left(remaining)));
    const more = left.length - PRIZES_MAX;
    this.list.replaceChildren(...left.slice(0, PRIZES_MAX).map(row), ...(more > 0 ? [make('li', {}, words.more(more))] : []));
  }

  /** Takes the winners of an announcement off the list, once. */
  count(draw) {
    if (!draw || draw.draw_id <= this.counted) return;
    this.counted = draw.draw_id;
    const taken = draw.winners.length;
    this.prizes = this.prizes.map((prize) =>
      prize.prize_id === draw.prize_id ? { ...prize, remaining: Math.max(0, prize.remaining - taken) } : prize,
    );
  }
}
