// The event itself: what it asks of people, its phase and entry code, copies of the journal, rehearsal, reset and the end of it.

import { field } from "./dialog.js";
import { rehearsal } from "./rehearsal.js";
import { moment } from "../shared/i18n.js";
import { make } from "../shared/dom.js";

const PHASES = ['open', 'drawing', 'closed'];

export function build(desk) {
  const { t } = desk;
  let view = null;
  let copies = [];
  const element = make('div', { className: 'event-tab' });
  const rehearse = rehearsal(desk);

  async function load() {
    const [event, kept] = await Promise.all([
      desk.attempt(() => desk.callAll('GET', `/admin/events/${desk.event}`)),
      desk.attempt(() => desk.call('GET', 'backup')),
    ]);
    view = event ?? view;
    copies = kept?.backups ?? copies;
    draw();
  }

  function draw() {
    if (!view) return;
    element.replaceChildren(settings(), phases(), entryCode(), backups(), view.rehearsal ? rehearse.element : '', danger());
    rehearse.render();
  }

  function settings() {
    const fields = [
      field({ name: 'title', label: t('eventTitle'), value: view.title, maxLength: 200, required: true }),
      field({ name: 'participants_max', label: t('participantsMax'), type: 'number', value: view.participants_max, min: 1 }),
      field({ name: 'consent_text', label: t('consentText'), type: 'textarea', rows: 3, value: view.consent_text, maxLength: 2000, hint: t('consentHint') }),
      field({ name: 'privacy_purpose', label: t('purpose'), type: 'textarea', rows: 2, value: view.privacy_purpose, maxLength: 500, hint: t('purposeHint') }),
      field({ name: 'groups', label: t('groupsCount'), type: 'checkbox', value: view.groups }),
      field({ name: 'weights', label: t('weightsCount'), type: 'checkbox', value: view.weights }),
    ];
    const save = async (submitted) => {
      submitted.preventDefault();
      const body = Object.fromEntries(fields.map((one) => [one.name, one.value()]));
      view = (await desk.attempt(() => desk.callAll('PATCH', `/admin/events/${desk.event}`, body), t('saved'))) ?? view;
    };
    return make('form', { className: 'card', id: 'settings', onsubmit: save }, make('h2', {}, t('settings')), fields.map((one) => one.element), make('div', { className: 'row end' }, make('button', { className: 'main' }, t('save'))));
  }

  function phases() {
    const buttons = PHASES.map((phase) =>
      make('button', { type: 'button', 'data-phase': phase, 'aria-pressed': String(view.phase === phase), onclick: () => change(phase) }, t(`phase_${phase}`)),
    );
    return make('section', { className: 'card' }, make('h2', {}, t('phase')), make('p', { className: 'quiet' }, t(`phaseHow_${view.phase}`)), make('div', { className: 'row' }, buttons));
  }

  async function change(phase) {
    if (phase === 'closed' && !(await desk.ask({ title: t('closeTitle'), text: t('closeText'), yes: t('phase_closed'), danger: true }))) return;
    await desk.attempt(() => desk.call('POST', 'phase', { phase }), t('saved'));
    await load();
  }

  function entryCode() {
    const set = async (code) => {
      await desk.attempt(() => desk.call('POST', 'entry-code', { entry_code: code }), t('saved'));
      await load();
    };
    const fresh = () => String(crypto.getRandomValues(new Uint32Array(1))[0] % 10_000).padStart(4, '0');
    return make(
      'section',
      { className: 'card' },
      make('h2', {}, t('entryCode')),
      make('p', { className: 'quiet' }, t('entryHow')),
      view.entry_code && make('p', { className: 'code', id: 'entry-code' }, view.entry_code),
      make(
        'div',
        { className: 'row' },
        make('button', { type: 'button', id: 'new-code', onclick: () => set(fresh()) }, t('newCode')),
        view.entry_code && make('button', { type: 'button', onclick: () => set(null) }, t('noCode')),
      ),
    );
  }

  function backups() {
    const copy = async () => {
      await desk.attempt(() => desk.call('POST', 'backup', undefined, { patience: 120_000 }), t('copied_journal'));
      await load();
    };
    const rows = copies.slice(0, 5).map(({ name, made_at, bytes }) => make('li', {}, t('copyLine', moment(made_at), Math.ceil(bytes / 1024), name)));
    return make('section', { className: 'card' }, make('h2', {}, t('backup')), make('p', { className: 'quiet' }, t('backupHow')), make('ul', { id: 'backups' }, rows), make('button', { type: 'button', id: 'make-backup', onclick: copy }, t('makeBackup')));
  }

  function danger() {
    return make(
      'section',
      { className: 'card' },
      make('h2', {}, t('danger')),
      make(
        'div',
        { className: 'row' },
        make('button', { type: 'button', className: 'danger', id: 'reset-draws', onclick: () => reset(false) }, t('resetDraws')),
        make('button', { type: 'button', className: 'danger', id: 'reset-all', onclick: () => reset(true) }, t('resetAll')),
        make('button', { type: 'button', className: 'danger', id: 'delete-event', onclick: remove }, t('deleteEvent')),
      ),
    );
  }

  async function reset(isWhole) {
    const word = t('resetWord');
    const isSure = await desk.ask({ title: isWhole ? t('resetAll') : t('resetDraws'), text: isWhole ? t('resetAllText') : t('resetDrawsText'), yes: t('reset'), danger: true, word });
    if (!isSure) return;
    const body = { reset_participants: isWhole, reset_draws: true, backup: true };
    await desk.attempt(() => desk.call('POST', 'reset', body, { patience: 120_000 }), t('didReset'));
    await load();
  }

  async function remove() {
    const isSure = await desk.ask({ title: t('deleteEvent'), text: t('deleteText'), yes: t('deleteEvent'), danger: true, word: desk.event });
    if (!isSure) return;
    const gone = await desk.attempt(() => desk.callAll('DELETE', `/admin/events/${desk.event}`));
    if (gone) location.assign('/lottery/admin');
  }

  desk.listeners.add((frame) => {
    if (frame.type === 'event_reset' || frame.type === 'notice') load();
  });
  return { element, reworded: draw, opened: load, render: rehearse.render };
}
