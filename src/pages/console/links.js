// Signed links: for the projector, the prize desk and whoever runs the show. Each can be revoked, which closes what it opened.

import { moment } from "../shared/i18n.js";
import { make } from "../shared/dom.js";

const ROLES = ['display', 'staff', 'host'];

export function build(desk) {
  const { t } = desk;
  let links = [];

  const heading = make('h2');
  const how = make('p', { className: 'quiet' });
  const makers = ROLES.map((role) => make('button', { type: 'button', 'data-make': role, onclick: () => add(role) }));
  const stage = make('a', { className: 'button main', id: 'open-stage', target: '_blank', href: `/lottery?event=${desk.event}` });
  const list = make('ul', { id: 'links', className: 'links' });
  const element = make('section', { className: 'card' }, heading, how, make('div', { className: 'row' }, stage, makers), list);

  async function load() {
    const data = await desk.attempt(() => desk.call('GET', 'links'));
    if (!data) return;
    links = data.links.filter((link) => !link.revoked_at).reverse();
    render();
  }

  async function add(role) {
    await desk.attempt(() => desk.call('POST', 'links', { role }), t('linkMade'));
    await load();
  }

  async function revoke(link) {
    const isSure = await desk.ask({ title: t('revokeTitle'), text: t('revokeText', t(`link_${link.role}`)), yes: t('revoke'), danger: true });
    if (!isSure) return;
    await desk.attempt(() => desk.call('DELETE', `links/${link.link_id}`), t('revoked'));
    await load();
  }

  /** Copies where the browser lets a page do so, and selects otherwise. */
  async function copy(input) {
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      desk.note(t('copied'), 'good');
    } catch {
      desk.note(t('copyYourself'));
    }
  }

  function render() {
    heading.textContent = t('links');
    how.textContent = t('linksHow');
    stage.textContent = t('openStage');
    for (const button of makers) button.textContent = t(`make_${button.dataset.make}`);
    list.replaceChildren(...(links.length ? links.map(row) : [make('li', { className: 'quiet' }, t('noLinks'))]));
  }

  function row(link) {
    const address = make('input', { readOnly: true, value: location.origin + link.path, 'aria-label': t(`link_${link.role}`) });
    return make(
      'li',
      { 'data-link': link.link_id, 'data-role': link.role },
      make('p', {}, make('strong', {}, t(`link_${link.role}`)), ' ', make('span', { className: 'quiet' }, moment(link.made_at))),
      make(
        'div',
        { className: 'row' },
        address,
        make('button', { type: 'button', onclick: () => copy(address) }, t('copy')),
        make('a', { className: 'button', target: '_blank', rel: 'noopener', href: link.path }, t('openLink')),
        make('button', { type: 'button', className: 'danger', onclick: () => revoke(link) }, t('revoke')),
      ),
    );
  }

  render();
  return { element, reworded: render, opened: load };
}
