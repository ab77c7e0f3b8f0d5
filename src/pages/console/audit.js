// The audit trail: everything that changed this event, who did it and when. The newest first.

import { moment } from "../shared/i18n.js";
import { make } from "../shared/dom.js";

export function build(desk) {
  const { t } = desk;
  let lines = [];
  let before = null;

  const heading = make('h2');
  const how = make('p', { className: 'quiet' });
  const head = make('tr');
  const body = make('tbody');
  const more = make('button', { type: 'button', onclick: () => load(true) });
  const again = make('button', { type: 'button', onclick: () => load(false) });
  const element = make(
    'section',
    { className: 'card' },
    make('div', { className: 'row between' }, heading, again),
    how,
    make('div', { className: 'scroll', tabIndex: 0 }, make('table', { id: 'audit' }, make('thead', {}, head), body)),
    make('div', { className: 'row' }, more),
  );

  async function load(isMore) {
    const data = await desk.attempt(() => desk.call('GET', `audit${isMore && before ? `?before=${before}` : ''}`));
    if (!data) return;
    lines = isMore ? [...lines, ...data.lines] : data.lines;
    before = data.lines.length ? data.next_before : null;
    render();
  }

  function render() {
    heading.textContent = t('audit');
    how.textContent = t('auditHow');
    more.textContent = t('more');
    again.textContent = t('again');
    more.hidden = before === null || before <= 1;
    head.replaceChildren(...['at', 'actor', 'what', 'summary'].map((key) => make('th', { scope: 'col' }, t(`col_${key}`))));
    body.replaceChildren(...lines.map(row));
  }

  function row({ at, actor, kind, summary }) {
    return make(
      'tr',
      {},
      make('td', {}, moment(at)),
      make('td', {}, actor),
      make('td', {}, kind),
      make('td', {}, make('code', {}, JSON.stringify(summary))),
    );
  }

  render();
  return { element, reworded: render, opened: () => load(false) };
}
