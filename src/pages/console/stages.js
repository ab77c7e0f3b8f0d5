// Stages on the run of show: each screen that shows the event, what it shows, and buttons that steer
// it. The server passes on what is asked with the stage's next report, within a second.

import { make } from "../shared/dom.js";

const POLL_MS = 2_000;
/** A stage reports every second while its tab is in front. */
const LATE_MS = 5_000;
const PAGES = ['main', 'lobby', 'entrance', 'winners', 'overlay'];
const TURNS = [
  ['is_black', 'black'],
  ['is_muted', 'mute'],
  ['shows_code', 'code'],
];

export class Stages {
  constructor(app) {
    this.app = app;
    this.stages = [];
    /** A stage that led was here: its absence is news. A hall may have no screen at all. */
    this.hadLead = false;
    this.timer = null;
    this.heading = make('h2');
    this.list = make('ul', { id: 'stages', className: 'stages' });
    this.element = make('section', { className: 'card', hidden: true }, this.heading, this.list);
  }

  async poll() {
    clearTimeout(this.timer);
    if (this.element.isConnected && document.visibilityState === 'visible') await this.load();
    this.timer = setTimeout(() => this.poll(), POLL_MS);
  }

  async load() {
    try {
      const { stages } = await this.app.call('GET', 'stages');
      this.stages = stages;
      this.hadLead ||= this.lead() !== undefined;
      this.render();
    } catch {
      // The connection's status shows an outage; the last list stays.
    }
  }

  /** The stage that leads, if it reports. */
  lead() {
    return this.stages.find(({ orders }) => orders.is_lead);
  }

  /** Asks before a reveal that the hall would not see; true to go on. */
  async confirmReveal() {
    const { t } = this.app;
    const lead = this.lead();
    const problem = lead ? problemOf(lead) : this.hadLead ? 'absent' : null;
    if (!problem) return true;
    const answer = await this.app.ask({ title: t('unseenTitle'), text: t(`stage_${problem}`), yes: t('revealAnyway'), fields: [] });
    return Boolean(answer);
  }

  async ask(stage, change) {
    const path = `stages/${encodeURIComponent(stage.stage_id)}`;
    await this.app.attempt(() => this.app.call('PATCH', path, change));
    // The stage answers with its next report.
    setTimeout(() => this.load(), 1_200);
  }

  render() {
    const { t } = this.app;
    this.heading.textContent = t('stages');
    this.element.hidden = this.stages.length === 0;
    // A refresh must not take the focus from a button that is about to be pressed.
    const focused = document.activeElement?.dataset.action;
    const focusedIn = document.activeElement?.closest('[data-stage]')?.dataset.stage;
    this.list.replaceChildren(...this.stages.map((stage, place) => this.row(stage, place)));
    if (focused) this.list.querySelector(`[data-stage="${focusedIn}"] [data-action="${focused}"]`)?.focus();
  }

  row(stage, place) {
    const { t } = this.app;
    const { orders } = stage;
    const button = (action, label, change, properties = {}) =>
      make('button', { type: 'button', className: 'small', 'data-action': action, onclick: () => this.ask(stage, change), ...properties }, label);
    const turns = TURNS.map(([field, name]) =>
      button(name, t(`stage-${name}`), { [field]: !stage[field] }, { 'aria-pressed': String(Boolean(stage[field])) }),
    );
    const pages = PAGES.map((page) => make('option', { value: page, selected: page === stage.page }, t(`stagePage_${page}`)));
    const onchange = ({ target }) => this.ask(stage, { page: target.value });
    return make(
      'li',
      { 'data-stage': stage.stage_id, 'data-lead': String(orders.is_lead) },
      make('strong', {}, t('stageName', place + 1), orders.is_lead ? ` · ${t('stageLeads')}` : ''),
      make('span', { className: 'quiet' }, this.describe(stage)),
      make(
        'span',
        { className: 'row' },
        ...(orders.is_lead ? [] : [button('lead', t('stage-lead'), { is_lead: true })]),
        ...turns,
        make('select', { 'data-action': 'page', 'aria-label': t('stagePage'), onchange }, pages),
      ),
    );
  }

  describe(stage) {
    const { t } = this.app;
    const notes = [
      `${stage.width}×${stage.height}`,
      t(`stagePage_${stage.page}`),
      ...(stage.is_black ? [t('stageIsBlack')] : []),
      ...(stage.is_hidden ? [t('stageIsHidden')] : []),
      ...(stage.is_muted ? [t('stageIsMuted')] : stage.is_sound_locked ? [t('stageIsLocked')] : []),
      ...(isLate(stage) ? [t('stageIsLate')] : []),
    ];
    return notes.join(' · ');
  }
}

/** Why the hall would not see a reveal on this stage; null when it would. */
function problemOf(stage) {
  if (stage.is_black) return 'black';
  if (isLate(stage)) return 'late';
  return stage.shows_code ? 'code' : null;
}

const isLate = ({ reported_ms_ago: ago, is_hidden: isHidden }) => ago > LATE_MS && !isHidden;
