// Stages on the run of show: each screen that shows the event, what it shows, and buttons that steer
// it. The server passes on what is asked with the stage's next report, within a second.

import { make } from "../shared/dom.js";
import * as storage from "../shared/storage.js";

const POLL_MS = 2_000;
/** A stage reports every second while its tab is in front. */
const LATE_MS = 5_000;
const PAGES = ['main', 'lobby', 'entrance', 'winners', 'overlay'];
/** What a stage is doing, by its scene. */
const SCENES = { lobby: 'lobby', standby: 'standby', running: 'playing', revealed: 'playing', announced: 'winners', between: 'winners' };
const TURNS = [
  ['is_black', 'black'],
  ['is_muted', 'mute'],
  ['shows_code', 'code'],
];

export class Stages {
  constructor(app) {
    this.app = app;
    this.stages = [];
    /** A stage led this event before: its absence is news. A hall may have no screen at all. */
    this.hadLead = Boolean(storage.get(leadKey(app)));
    this.timer = null;
    /** Rows by the stage's name. */
    this.rows = new Map();
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
      if (!this.hadLead && this.lead()) this.noteLead();
      this.render();
    } catch {
      // The connection's status shows an outage; the last list stays.
    }
  }

  /** Notes for later loads of this page, too, that the hall has a screen. */
  noteLead() {
    this.hadLead = true;
    storage.set(leadKey(this.app), true);
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

  /** Makes the stage that leads black, or shows it again: the key of a presenter's clicker. */
  toggleBlack() {
    const lead = this.lead();
    if (lead) this.ask(lead.stage_id, { is_black: !lead.is_black });
  }

  async ask(id, change) {
    const path = `stages/${encodeURIComponent(id)}`;
    await this.app.attempt(() => this.app.call('PATCH', path, change));
    // The stage answers with its next report.
    setTimeout(() => this.load(), 1_200);
  }

  render() {
    const { t } = this.app;
    this.heading.textContent = t('stages');
    this.element.hidden = this.stages.length === 0;
    const ids = this.stages.map(({ stage_id: id }) => id);
    for (const [id, row] of this.rows) if (!ids.includes(id)) this.removeRow(id, row);
    this.stages.forEach((stage, place) => this.rowOf(stage).show(stage, place));
  }

  rowOf({ stage_id: id }) {
    if (!this.rows.has(id)) {
      const row = new Row(this.app.t, id, (change) => this.ask(id, change));
      this.rows.set(id, row);
      this.list.append(row.element);
    }
    return this.rows.get(id);
  }

  removeRow(id, row) {
    row.element.remove();
    this.rows.delete(id);
  }
}

/**
 * A stage in the list. It changes in place, since reports come every second: its open menu stays open,
 * and a button that is about to be pressed stays where it is.
 */
class Row {
  /** `ask(change)`: asks something of the stage. */
  constructor(t, id, ask) {
    Object.assign(this, { t, ask, stage: null });
    this.name = make('strong');
    this.notes = make('span', { className: 'quiet' });
    const button = (action, onclick) => make('button', { type: 'button', className: 'small', 'data-action': action, onclick });
    this.lead = button('lead', () => ask({ is_lead: true }));
    this.turns = TURNS.map(([field, name]) => [field, name, button(name, () => ask({ [field]: !this.stage[field] }))]);
    this.pages = make('select', { 'data-action': 'page', onchange: () => ask({ page: this.pages.value }) }, PAGES.map((page) => make('option', { value: page })));
    const buttons = make('span', { className: 'row' }, this.lead, this.turns.map(([, , turn]) => turn), this.pages);
    this.element = make('li', { 'data-stage': id }, this.name, this.notes, buttons);
  }

  show(stage, place) {
    const { t } = this;
    const { is_lead: isLead } = stage.orders;
    this.stage = stage;
    this.element.dataset.lead = isLead;
    this.element.dataset.scene = stage.scene;
    setTextOf(this.name, t('stageName', place + 1) + (isLead ? ` · ${t('stageLeads')}` : ''));
    setTextOf(this.notes, this.describe(stage));
    setTextOf(this.lead, t('stage-lead'));
    this.lead.hidden = isLead;
    for (const [field, name, turn] of this.turns) {
      setTextOf(turn, t(`stage-${name}`));
      turn.setAttribute('aria-pressed', String(Boolean(stage[field])));
    }
    this.pages.setAttribute('aria-label', t('stagePage'));
    for (const option of this.pages.options) setTextOf(option, t(`stagePage_${option.value}`));
    // A menu that somebody is using stays as it is.
    if (document.activeElement !== this.pages) this.pages.value = stage.page;
  }

  describe(stage) {
    const { t } = this;
    const scene = SCENES[stage.scene];
    const notes = [
      `${stage.width}×${stage.height}`,
      t(`stagePage_${stage.page}`),
      ...(scene ? [t(`stageScene_${scene}`)] : []),
      ...(stage.is_black ? [t('stageIsBlack')] : []),
      ...(stage.is_hidden ? [t('stageIsHidden')] : []),
      ...(stage.is_muted ? [t('stageIsMuted')] : stage.is_sound_locked ? [t('stageIsLocked')] : []),
      ...(isLate(stage) ? [t('stageIsLate')] : []),
    ];
    return notes.join(' · ');
  }
}

/** Sets a text, and touches the page only when it differs. */
function setTextOf(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const leadKey = ({ event }) => `console.lead.${event}`;

/** Why the hall would not see a reveal on this stage; null when it would. */
function problemOf(stage) {
  if (stage.is_black) return 'black';
  if (isLate(stage)) return 'late';
  return stage.shows_code ? 'code' : null;
}

const isLate = ({ reported_ms_ago: ago, is_hidden: isHidden }) => ago > LATE_MS && !isHidden;
