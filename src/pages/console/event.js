// Event tab: settings, phase, entry code, backups, reset and deletion.

import { make } from "../shared/dom.js";
import { formatTime, language } from "../shared/i18n.js";
import { JoinCode, joinImage, showCode } from "../shared/join-code.js";
import { field } from "./dialog.js";

/** Rules by which draws get their outside value. */
const OUTSIDE_RULES = ['none', 'hall', 'drand', 'drand-or-hall', 'drand-or-none'];

const PHASES = ['open', 'drawing', 'closed'];
const BACKUPS_SHOWN = 5;
/** A backup copies the journal, which takes a while. */
const BACKUP_TIMEOUT_MS = 120_000;

export class Tab {
  constructor(app) {
    this.app = app;
    this.event = null;
    this.backups = [];
    this.clock = null;
    this.joinImage = make('img', { id: 'join-image', width: 240, height: 240, alt: '' });
    this.joinCode = new JoinCode((code) => {
      showCode(this.joinImage, joinImage(app.event, code));
    });
    /** The settings' form: { element, fields, shown, language }. It stays while others are built anew. */
    this.settings = null;
    this.above = make('div', { className: 'cards' });
    this.below = make('div', { className: 'cards' });
    this.element = make('div', { className: 'event-tab' });
    app.listeners.add((frame) => {
      const { type } = frame;
      if (['event_reset', 'notice', 'entry_code'].includes(type)) this.load();
      if (type === 'join_code') this.joinCode.receive(frame, app.send);
      if (type === 'state_sync' || type === 'entry_code') this.joinCode.follow(app.state.entry_code_rotates, app.send);
    });
  }

  opened() {
    this.joinCode.follow(this.app.state.entry_code_rotates, this.app.send);
    this.load();
  }

  async load() {
    const { app } = this;
    const [event, data, clock] = await Promise.all([
      app.attempt(() => app.callAll('GET', `/admin/events/${app.event}`)),
      app.attempt(() => app.call('GET', 'backup')),
      app.attempt(() => app.callAll('GET', '/admin/clock')),
    ]);
    this.clock = clock ?? this.clock;
    this.event = event ?? this.event;
    this.backups = data?.backups ?? this.backups;
    this.translate();
  }

  /** Calls the server about this event, then loads it anew. */
  async change(method, path, body, success, options) {
    await this.app.attempt(() => this.app.call(method, path, body, options), success);
    await this.load();
  }

  translate() {
    const { event } = this;
    if (!event) return;
    const trust = this.clock?.trust ?? 'steady';
    this.above.replaceChildren(trust === 'jumped' ? this.clockCard() : '');
    this.renderSettings();
    this.below.replaceChildren(
      this.phaseCard(),
      this.entryCodeCard(),
      this.backupCard(),
      trust === 'new' ? this.clockCard() : '',
      this.dangerCard(),
    );
  }

  /**
   * Builds the settings' form, or brings the one that is there up to date: what is being edited in it
   * stays as it is, whatever another operator does.
   */
  renderSettings() {
    const { settings } = this;
    if (settings?.language === language()) {
      const isEdited = ({ name, value }) => value() !== settings.shown.get(name);
      const fresh = this.settingsForm();
      for (const [place, each] of settings.fields.entries()) {
        if (isEdited(each) || each.input === document.activeElement) continue;
        Object.assign(each.input, { value: fresh.fields[place].input.value, checked: fresh.fields[place].input.checked });
        settings.shown.set(each.name, each.value());
      }
      return;
    }
    const next = this.settingsForm();
    for (const [place, each] of (settings?.fields ?? []).entries()) {
      if (each.value() === settings.shown.get(each.name)) continue;
      Object.assign(next.fields[place].input, { value: each.input.value, checked: each.input.checked });
    }
    this.settings = { ...next, language: language() };
    this.element.replaceChildren(this.above, next.element, this.below);
  }

  settingsForm() {
    const { app, event } = this;
    const { t } = app;
    const fields = [
      { name: 'title', label: t('eventTitle'), maxLength: 200, required: true },
      { name: 'participants_max', label: t('participantsMax'), type: 'number', min: 1 },
      { name: 'consent_text', label: t('consentText'), type: 'textarea', rows: 3, maxLength: 2000, hint: t('consentHint') },
      { name: 'privacy_purpose', label: t('purpose'), type: 'textarea', rows: 2, maxLength: 500, hint: t('purposeHint') },
      { name: 'outside', label: t('outside'), options: OUTSIDE_RULES.map((rule) => [rule, t(`outside_${rule}`)]), hint: t('outsideHint') },
      { name: 'groups', label: t('groupsCount'), type: 'checkbox' },
      { name: 'weights', label: t('weightsCount'), type: 'checkbox' },
    ].map((each) => field({ ...each, value: event[each.name] }));
    const shown = new Map(fields.map((each) => [each.name, each.value()]));
    const save = async (submit) => {
      submit.preventDefault();
      // Only what this operator changed: the rest may be another's change that this page has not seen.
      const changed = fields.filter((each) => each.value() !== shown.get(each.name));
      const body = Object.fromEntries(changed.map((each) => [each.name, each.value()]));
      const saved = await app.attempt(() => app.callAll('PATCH', `/admin/events/${app.event}`, body), t('saved'));
      this.event = saved ?? this.event;
      for (const { name, value } of saved ? changed : []) shown.set(name, value());
    };
    const element = make(
      'form',
      { className: 'card', id: 'settings', onsubmit: save },
      make('h2', {}, t('settings')),
      fields.map((each) => each.element),
      make('div', { className: 'row end' }, make('button', { className: 'main' }, t('save'))),
    );
    return { element, fields, shown };
  }

  phaseCard() {
    const { t } = this.app;
    const buttons = PHASES.map((phase) => {
      const isPressed = this.event.phase === phase;
      const properties = { 'data-phase': phase, 'aria-pressed': String(isPressed), onclick: () => this.changePhase(phase) };
      return make('button', { type: 'button', ...properties }, t(`phase_${phase}`));
    });
    return card(t('phase'), t(`phaseHow_${this.event.phase}`), make('div', { className: 'row' }, buttons));
  }

  async changePhase(phase) {
    const { t } = this.app;
    const question = { title: t('closeTitle'), text: t('closeText'), yes: t('phase_closed'), danger: true };
    if (phase === 'closed' && !(await this.app.ask(question))) return;
    await this.change('POST', 'phase', { phase }, t('saved'));
  }

  entryCodeCard() {
    const { t } = this.app;
    const { entry_code: code, entry_code_rotates: rotates } = this.event;
    const set = (next) => this.change('POST', 'entry-code', { entry_code: next }, t('saved'));
    const rotate = () => this.change('POST', 'entry-code', { rotates: true }, t('saved'));
    const random = (length) => String(crypto.getRandomValues(new Uint32Array(1))[0] % 10 ** length).padStart(length, '0');
    return card(
      t('entryCode'),
      t('entryHow'),
      code && make('p', { className: 'code', id: 'entry-code' }, code),
      rotates && this.joinImage,
      make('p', { className: 'quiet' }, t('rotatingHow')),
      make(
        'div',
        { className: 'row' },
        make('button', { type: 'button', id: 'new-code', onclick: () => set(random(4)) }, t('newCode')),
        make('button', { type: 'button', id: 'new-long-code', onclick: () => set(random(8)) }, t('newLongCode')),
        !rotates && make('button', { type: 'button', id: 'rotate-code', onclick: rotate }, t('rotateCode')),
        (code || rotates) && make('button', { type: 'button', id: 'no-code', onclick: () => set(null) }, t('noCode')),
      ),
    );
  }

  clockCard() {
    const { t } = this.app;
    const confirm = async () => {
      await this.app.attempt(() => this.app.callAll('POST', '/admin/clock'), t('clockConfirmed'));
      await this.load();
    };
    return card(
      t(`clock_${this.clock.trust}`),
      t('clockHow', formatTime(this.clock.now)),
      make('button', { type: 'button', id: 'confirm-clock', onclick: confirm }, t('confirmClock')),
    );
  }

  backupCard() {
    const { t } = this.app;
    const backUp = () => this.change('POST', 'backup', undefined, t('copied_journal'), { timeoutMs: BACKUP_TIMEOUT_MS });
    const details = ({ details_go_at: at }) => (at ? t('copyDetails', formatTime(at)) : t('copyNoDetails'));
    const line = (backup) => {
      const text = t('copyLine', formatTime(backup.made_at), Math.ceil(backup.bytes / 1024), backup.name);
      return make('li', {}, `${text} · ${details(backup)}`);
    };
    return card(
      t('backup'),
      t('backupHow'),
      make('ul', { id: 'backups' }, this.backups.slice(0, BACKUPS_SHOWN).map(line)),
      make('button', { type: 'button', id: 'make-backup', onclick: backUp }, t('makeBackup')),
    );
  }

  dangerCard() {
    const { t } = this.app;
    const button = (id, onclick, text) => make('button', { type: 'button', className: 'danger', id, onclick }, text);
    return card(
      t('danger'),
      null,
      make(
        'div',
        { className: 'row' },
        button('reset-draws', () => this.reset(false), t('resetDraws')),
        button('reset-all', () => this.reset(true), t('resetAll')),
        button('delete-event', () => this.deleteEvent(), t('deleteEvent')),
      ),
    );
  }

  async reset(isWhole) {
    const { app } = this;
    const { t } = app;
    const [title, text] = isWhole ? [t('resetAll'), t('resetAllText')] : [t('resetDraws'), t('resetDrawsText')];
    if (!(await app.ask({ title, text, yes: t('reset'), danger: true, word: t('resetWord') }))) return;
    const body = { reset_participants: isWhole, reset_draws: true, backup: true };
    await this.change('POST', 'reset', body, t('didReset'), { timeoutMs: BACKUP_TIMEOUT_MS });
  }

  async deleteEvent() {
    const { app } = this;
    const { t } = app;
    const question = { title: t('deleteEvent'), text: t('deleteText'), yes: t('deleteEvent'), danger: true, word: app.event };
    if (!(await app.ask(question))) return;
    const deleted = await app.attempt(() => app.callAll('DELETE', `/admin/events/${app.event}`));
    if (deleted) location.assign('/lottery/admin');
  }
}

function card(title, help, ...parts) {
  return make('section', { className: 'card' }, make('h2', {}, title), help && make('p', { className: 'quiet' }, help), ...parts);
}
