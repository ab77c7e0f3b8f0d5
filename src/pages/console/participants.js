// Who takes part: found by number, and what the staff note about them.

import { moment } from "../shared/i18n.js";
import { digits, make } from "../shared/dom.js";

const PAGE = 100;

export function build(desk) {
  const { t } = desk;
  let people = [];
  let total = 0;
  let from = 0;

  const heading = make('h2');
  const search = make('input', { id: 'find-number', type: 'number', min: 1, inputMode: 'numeric' });
  const label = make('span');
  const body = make('tbody');
  const head = make('tr');
  const more = make('button', { type: 'button', onclick: () => load(people.at(-1)?.draw_number ?? 0, true) });
  const element = make(
    'section',
    { className: 'card' },
    make('div', { className: 'row between' }, heading, make('label', { className: 'inline' }, label, search)),
    make('div', { className: 'scroll' }, make('table', { id: 'people' }, make('thead', {}, head), body)),
    make('div', { className: 'row' }, more),
  );
  search.onchange = () => load(Math.max(0, Number(search.value) - 1), false);

  async function load(after, isMore) {
    const data = await desk.attempt(() => desk.call('GET', `participants?limit=${PAGE}&after=${after}`));
    if (!data) return;
    total = data.total_count;
    from = isMore ? from : after;
    people = isMore ? [...people, ...data.participants] : data.participants;
    render();
  }

  function render() {
    heading.textContent = t('peopleCount', total);
    label.textContent = t('findNumber');
    more.textContent = t('more');
    more.hidden = people.length === 0 || people.at(-1).draw_number >= total;
    head.replaceChildren(...['number', 'registeredAt', 'eligible', 'group', 'weight'].map((key) => make('th', { scope: 'col' }, t(key))));
    body.replaceChildren(...(people.length ? people.map(row) : [make('tr', {}, make('td', { colSpan: 5, className: 'quiet' }, t('nobody')))]));
  }

  function row(person) {
    const { draw_number: number, eligible = true, group = null, weight = 1 } = person;
    const name = digits(number);
    return make(
      'tr',
      { 'data-number': number },
      make('th', { scope: 'row' }, name),
      make('td', {}, moment(person.created_at)),
      make('td', {}, make('input', { type: 'checkbox', checked: eligible, 'aria-label': t('eligibleOf', name), onchange: (changed) => mark(number, { eligible: changed.target.checked }) })),
      make('td', {}, make('input', { value: group ?? '', maxLength: 200, 'aria-label': t('groupOf', name), onchange: (changed) => mark(number, { group: changed.target.value }) })),
      make('td', {}, make('input', { type: 'number', min: 1, max: 65535, value: weight, 'aria-label': t('weightOf', name), onchange: (changed) => mark(number, { weight: Number(changed.target.value) }) })),
    );
  }

  async function mark(number, change) {
    const marked = await desk.attempt(() => desk.call('PATCH', `participants/${number}`, change), t('saved'));
    if (marked) people = people.map((person) => (person.draw_number === number ? marked : person));
    render();
  }

  render();
  return { element, reworded: render, opened: () => load(from, false) };
}
