// Links tab: signed links for the projector, the prize desk and the host. Revoking one closes what
// it opened.

import { make } from "../shared/dom.js";
import { formatTime } from "../shared/i18n.js";
import { JoinAddress } from "../shared/join-address.js";
import { joinImage, showCode } from "../shared/join-code.js";

const ROLES = ['display', 'staff', 'host'];

export class Tab {
  constructor(app) {
    this.app = app;
    this.links = [];
    this.heading = make('h2');
    this.help = make('p', { className: 'quiet' });
    this.makers = ROLES.map((role) => make('button', { type: 'button', 'data-make': role, onclick: () => this.add(role) }));
    const href = `/lottery?event=${app.event}`;
    this.stage = make('a', { className: 'button main', id: 'open-stage', target: '_blank', href });
    this.list = make('ul', { id: 'links', className: 'links' });
    const row = make('div', { className: 'row' }, this.stage, this.makers);
    this.joinHeading = make('h3');
    this.joinImage = make('img', { id: 'join-code', width: 180, height: 180, alt: '', hidden: true });
    this.joinText = make('p', { id: 'join-address' });
    this.unreachable = make('p', { id: 'unreachable', className: 'wrong', role: 'alert', hidden: true });
    this.joinAddress = new JoinAddress(app.event, () => this.renderJoin());
    const join = make('div', { className: 'join' }, this.joinHeading, this.joinText, this.unreachable, this.joinImage);
    this.element = make('section', { className: 'card' }, this.heading, this.help, row, join, this.list);
    this.translate();
  }

  opened() {
    this.load();
    this.joinAddress.load();
  }

  /** Shows the address of the network that the server is in now. */
  renderJoin() {
    const { text, isReachable } = this.joinAddress;
    this.joinHeading.textContent = this.app.t('joinAddress');
    this.unreachable.textContent = this.app.t('unreachable');
    if (text === null) return;
    this.joinText.textContent = text;
    this.unreachable.hidden = isReachable;
    // A code that changes is shown with the entry code.
    this.joinImage.hidden = Boolean(this.app.state.entry_code_rotates);
    showCode(this.joinImage, joinImage(this.app.event, null, text));
  }

  async load() {
    const data = await this.app.attempt(() => this.app.call('GET', 'links'));
    if (!data) return;
    this.links = data.links.filter((link) => !link.revoked_at).reverse();
    this.translate();
  }

  async add(role) {
    await this.app.attempt(() => this.app.call('POST', 'links', { role }), this.app.t('linkMade'));
    await this.load();
  }

  async revoke(link) {
    const { app } = this;
    const { t } = app;
    const text = t('revokeText', t(`link_${link.role}`));
    if (!(await app.ask({ title: t('revokeTitle'), text, yes: t('revoke'), danger: true }))) return;
    await app.attempt(() => app.call('DELETE', `links/${link.link_id}`), t('revoked'));
    await this.load();
  }

  /** Copies where the browser allows it; the selection remains otherwise. */
  async copy(input) {
    const { t, notify } = this.app;
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      notify(t('copied'), 'good');
    } catch {
      notify(t('copyYourself'));
    }
  }

  translate() {
    const { t } = this.app;
    this.heading.textContent = t('links');
    this.help.textContent = t('linksHow');
    this.renderJoin();
    this.stage.textContent = t('openStage');
    for (const button of this.makers) button.textContent = t(`make_${button.dataset.make}`);
    const rows = this.links.map((link) => this.row(link));
    this.list.replaceChildren(...(rows.length ? rows : [make('li', { className: 'quiet' }, t('noLinks'))]));
  }

  row(link) {
    const { t } = this.app;
    const name = t(`link_${link.role}`);
    const address = make('input', { readOnly: true, value: location.origin + link.path, 'aria-label': name });
    return make(
      'li',
      { 'data-link': link.link_id, 'data-role': link.role },
      make('p', {}, make('strong', {}, name), ' ', make('span', { className: 'quiet' }, formatTime(link.made_at))),
      make(
        'div',
        { className: 'row' },
        address,
        make('button', { type: 'button', onclick: () => this.copy(address) }, t('copy')),
        make('a', { className: 'button', target: '_blank', rel: 'noopener', href: link.path }, t('openLink')),
        make('button', { type: 'button', className: 'danger', onclick: () => this.revoke(link) }, t('revoke')),
      ),
    );
  }
}
