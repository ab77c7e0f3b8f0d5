// Run of show tab: the next step, the last results, and their delivery.
//
// The main button names the next step. A step names its draw, so that the server refuses a slower
// second operator and no step is repeated. The button pauses after each step, whoever took it, so
// that a held or doubled key makes one step. It rests while a show plays; to announce before its end
// takes a button that is held.

import { digits, make } from "../shared/dom.js";
import { Draws } from "./draws.js";
import { LiveStatus } from "./live-status.js";
import { Rehearsal } from "./rehearsal.js";
import { fillIfChanged } from "./rows.js";
import { Stages } from "./stages.js";

/** Pause of the button after a step. */
const PAUSE_MS = 900;
/** Time for which the button that announces before the end of a show is held. */
const HOLD_MS = 1_000;
const COUNTDOWN_MS = 100;
/** Frames of a step, this console's or another operator's. */
const STEP_FRAMES = ['draw_standby', 'draw_started', 'winner_revealed', 'winner_announced'];
const WINNERS_MAX = 500;
/** The most winners of a draw, per mode, by rising limit. */
const MODE_LIMITS = { slot: 1, card: 5, network: 10, list: WINNERS_MAX };
const MODES = Object.keys(MODE_LIMITS);
/** Frames after which the prizes, their remainders or those who can win them are others. */
const PRIZE_FRAMES = ['state_sync', 'prizes_changed', 'participants_removed', 'winner_revealed', 'winner_announced', 'draw_voided', 'event_reset'];
const STEP_KEYS = [' ', 'Enter'];
/** The keys of a presenter's clicker: forward, and a black screen by the key's place. */
const CLICKER_FORWARD = ['PageDown', 'ArrowRight'];
const CLICKER_BLACK = ['KeyB', 'Period'];
const CALLS = {
  standby: 'draw/standby',
  start: 'draw/start-animation',
  reveal: 'draw/reveal',
  complete: 'draw/complete',
};
/** The calls, and the step that asks for the hall's words first. */
const STEPS = [...Object.keys(CALLS), 'outside'];
const STEP_OF_STATUS = { standby: 'start', started: 'reveal', revealed: 'complete' };

/**
 * The next step; only those in STEPS can be taken. Without a current draw, the chosen prize is put
 * on standby.
 */
function nextStep({ current, phase }, chosen) {
  if (phase === 'closed') return 'closed';
  if (current?.status === 'started' && !current.outside_value) {
    const source = current.fallback ?? current.outside ?? 'none';
    if (source !== 'none') return source === 'hall' ? 'outside' : 'wait';
  }
  if (current) return STEP_OF_STATUS[current.status];
  if (!chosen) return 'choose';
  return chosen.remaining === 0 ? 'exhausted' : 'standby';
}

/** The prize to draw next: the chosen one while any are left, else the next one that has some. */
function pickPrize(prizes, chosen) {
  const index = prizes.findIndex((prize) => prize.prize_id === chosen?.prize_id);
  if (index >= 0 && prizes[index].remaining > 0) return prizes[index];
  const order = [...prizes.slice(index + 1), ...prizes.slice(0, Math.max(index, 0))];
  return order.find((prize) => prize.remaining > 0) ?? prizes[index] ?? null;
}

/** The number of winners to begin with: as the prize says, as far as there are prizes and people. */
function usualCount({ winner_count, remaining }, canWin) {
  return Math.max(1, Math.min(winner_count ?? 1, remaining || 1, canWin || 1));
}

/**
 * The reason why the server would refuse so many winners: { key, values, fixes }; null without one.
 * A fix is { mode } or { count }. `canWin`: the people who can win the prize.
 */
function problemOf({ remaining }, mode, count, canWin) {
  const most = MODE_LIMITS[mode];
  if (count > most) {
    const other = MODES.find((each) => MODE_LIMITS[each] >= count);
    return { key: 'overMode', values: [mode, most], fixes: [...(other ? [{ mode: other }] : []), { count: most }] };
  }
  const left = Math.min(remaining, canWin);
  if (count <= left || remaining === 0) return null;
  return { key: left === remaining ? 'overLeft' : 'overPeople', values: [left], fixes: left > 0 ? [{ count: left }] : [] };
}

export class Tab {
  constructor(app) {
    this.app = app;
    this.prizes = [];
    this.chosen = null;
    /** By performance.now(): the clock on the wall may be set back. */
    this.pausedUntil = 0;
    this.isBusy = false;
    this.countdown = null;
    this.holdTimer = null;
    this.stages = new Stages(app);
    /** The operator's own mode and number of winners; null for those of the list. */
    this.ownMode = null;
    this.ownCount = null;
    /** The participants when the prizes were loaded: those who came since can win as well. */
    this.countedAt = 0;
    this.liveStatus = new LiveStatus(app);
    this.draws = new Draws(app);
    this.rehearsal = new Rehearsal(app);
    this.element = this.build();
    this.renderModes();
    app.listeners.add((frame) => {
      if (PRIZE_FRAMES.includes(frame.type)) this.loadPrizes();
      if (STEP_FRAMES.includes(frame.type)) this.pause();
      if (frame.type === 'step_taken') this.noteStep(frame);
    });
    this.loadPrizes();
  }

  build() {
    const renderStep = () => this.renderStep();
    this.currentDraw = make('div', { className: 'current-draw', 'aria-live': 'polite' });
    this.stepButton = make('button', { type: 'button', id: 'step', className: 'main step', onclick: () => this.step() });
    this.announceButton = make('button', { type: 'button', id: 'announce-now', className: 'hold' });
    for (const name of ['pointerdown', 'keydown']) this.announceButton.addEventListener(name, (press) => this.holdAnnounce(press));
    for (const name of ['pointerup', 'pointerleave', 'keyup', 'blur']) {
      this.announceButton.addEventListener(name, () => this.letGo());
    }
    this.fallbackButton = make('button', { type: 'button', id: 'fallback', onclick: () => this.fallBack() });
    this.cancelButton = make('button', { type: 'button', id: 'cancel', className: 'danger', onclick: () => this.cancel() });
    this.mode = make('select', { id: 'mode', onchange: () => this.setMode(this.mode.value) });
    const numeric = { type: 'number', min: 1, max: WINNERS_MAX, 'aria-describedby': 'count-problem' };
    this.count = make('input', { id: 'count', ...numeric, oninput: () => this.setCount(Number(this.count.value) || null), onchange: renderStep });
    this.problem = make('p', { id: 'count-problem', className: 'wrong row', role: 'alert', hidden: true });
    this.list = make('ul', { id: 'run', className: 'run', role: 'radiogroup' });
    this.labels = { now: make('h2'), prizes: make('h2'), mode: make('span'), winnerCount: make('span') };
    const { now, prizes, mode, winnerCount } = this.labels;
    return make(
      'div',
      { className: 'show' },
      make(
        'section',
        { className: 'card now' },
        now,
        this.currentDraw,
        make('div', { className: 'row tuning' }, make('label', {}, mode, this.mode), make('label', {}, winnerCount, this.count)),
        this.problem,
        make('div', { className: 'row steps' }, this.stepButton, this.announceButton, this.fallbackButton, this.cancelButton),
      ),
      make('section', { className: 'card list' }, prizes, this.list),
      make('div', { className: 'status-column' }, this.rehearsal.element, this.liveStatus.element, this.stages.element),
      this.draws.element,
    );
  }

  opened() {
    this.loadPrizes();
    this.liveStatus.poll();
    this.stages.poll();
    this.draws.refresh();
  }

  translate() {
    this.renderModes();
    this.renderPrizes();
    this.render();
  }

  handleKey(key) {
    const isOnOther = key.target.closest?.('button, a, [role="tab"]') && key.target !== this.stepButton;
    const isForward = CLICKER_FORWARD.includes(key.key);
    if (isForward || STEP_KEYS.includes(key.key)) {
      if (isOnOther && !isForward) return;
      key.preventDefault();
      if (!key.repeat) this.step();
    } else if (key.key === 'ArrowDown' || key.key === 'ArrowUp') {
      key.preventDefault();
      this.moveChoice(key.key === 'ArrowDown' ? 1 : -1);
    } else if (CLICKER_BLACK.includes(key.code)) {
      if (!key.repeat) this.stages.toggleBlack();
    } else if (key.key === 'v' || key.key === 'V') {
      this.draws.focusFirst();
    }
  }

  async loadPrizes() {
    const data = await this.app.attempt(() => this.app.call('GET', 'prizes'));
    if (!data) return;
    this.prizes = data.prizes;
    this.countedAt = this.app.state.participant_count;
    this.choose(pickPrize(this.prizes, this.chosen));
  }

  choose(prize) {
    const isOther = prize?.prize_id !== this.chosen?.prize_id;
    this.chosen = prize ?? null;
    if (isOther) Object.assign(this, { ownMode: null, ownCount: null });
    this.renderPrizes();
    this.renderStep();
  }

  setMode(mode) {
    this.ownMode = mode === (this.chosen?.draw_mode ?? 'slot') ? null : mode;
    this.renderStep();
  }

  setCount(count) {
    this.ownCount = count;
    this.renderStep();
  }

  moveChoice(by) {
    const index = this.prizes.findIndex((prize) => prize.prize_id === this.chosen?.prize_id);
    const prize = this.prizes[Math.max(0, Math.min(this.prizes.length - 1, index + by))];
    if (!prize) return;
    this.choose(prize);
    this.list.querySelector('[aria-checked="true"]')?.focus();
  }

  async step() {
    const { app } = this;
    const step = nextStep(app.state, this.chosen);
    if (!STEPS.includes(step) || this.isBusy || this.isPaused() || this.isPlaying()) return;
    if (step === 'standby' && this.problemNow()) return;
    if (step === 'reveal' && !(await this.stages.confirmReveal())) return;
    if (step === 'outside') return this.giveWords();
    await this.take(step);
  }

  async take(step) {
    const { app } = this;
    this.isBusy = true;
    this.renderStep();
    const body = this.stepBody(step);
    await app.takeStep(step, () => this.call(step, body), app.t(`did_${step}`));
    this.isBusy = false;
    this.pause();
  }

  pause() {
    this.pausedUntil = performance.now() + PAUSE_MS;
    setTimeout(() => this.renderStep(), PAUSE_MS + 20);
    this.renderStep();
  }

  isPaused() {
    return performance.now() < this.pausedUntil;
  }

  /** Returns true while a stage plays a planned show. */
  isPlaying() {
    const { current } = this.app.state;
    return current?.status === 'revealed' && this.app.untilShown(current) > 0;
  }

  /** Says which other operator took a step. */
  noteStep({ step, by, link_id: link }) {
    const { app } = this;
    if (!app.isOwnStep(step)) app.notify(app.t('otherPressed', app.t(`by_${by}`, link)));
  }

  holdAnnounce(press) {
    const isKey = press.type === 'keydown';
    if (press.repeat || this.holdTimer || (isKey && !STEP_KEYS.includes(press.key))) return;
    press.preventDefault();
    this.announceButton.dataset.held = '';
    this.holdTimer = setTimeout(() => {
      this.letGo();
      if (this.isPlaying() && !this.isBusy) this.take('complete');
    }, HOLD_MS);
  }

  letGo() {
    clearTimeout(this.holdTimer);
    this.holdTimer = null;
    delete this.announceButton.dataset.held;
  }

  /** Takes the words that the hall called out, reads them back, and sends them. */
  async giveWords() {
    const { app } = this;
    const { t } = app;
    const { draw_id } = app.state.current;
    const typed = await app.ask({
      title: t('wordsTitle'),
      text: t('wordsText'),
      yes: t('wordsCheck'),
      fields: [{ name: 'words', label: t('words'), value: '', maxLength: 100 }],
    });
    const words = typed?.words.normalize('NFC').replaceAll(' ', '').toLowerCase();
    if (!words || !(await app.ask({ title: `‘${words}’`, text: t('wordsReadBack'), yes: t('wordsSend') }))) return;
    await app.attempt(() => app.call('POST', 'draw/outside', { draw_id, words }), t('did_outside'));
  }

  /** Gives up on the round of drand, with a reason that the proof shows. */
  async fallBack() {
    const { app } = this;
    const { t } = app;
    const { draw_id } = app.state.current;
    const answer = await app.ask({
      title: t('fallbackTitle'),
      text: t('fallbackText'),
      yes: t('fallbackYes'),
      danger: true,
      fields: [{ name: 'reason', label: t('reason'), value: '', maxLength: 200, required: true }],
    });
    const reason = answer?.reason.trim();
    if (reason) await app.attempt(() => app.call('POST', 'draw/fallback', { draw_id, reason }), t('did_fallback'));
  }

  /** Takes a step. A refusal that names the most possible winners sets their number to it. */
  async call(step, body) {
    try {
      return await this.app.call('POST', CALLS[step], body);
    } catch (refusal) {
      if (refusal.detail?.left > 0) this.ownCount = refusal.detail.left;
      throw refusal;
    }
  }

  /**
   * The body of a step. It names the prize and what the operator chose otherwise: the rest is as the
   * list is at that moment, whoever changed it.
   */
  stepBody(step) {
    const { current, last_draw_id } = this.app.state;
    if (step === 'standby') {
      const { prize_id, winner_count } = this.chosen;
      const count = this.wantedCount();
      return { prize_id, draw_mode: this.ownMode ?? undefined, winner_count: count === (winner_count ?? 1) ? undefined : count, last_draw_id };
    }
    if (step !== 'start') return { draw_id: current?.draw_id };
    // Starts the draw on standby, even if another prize is chosen here.
    const { prize_id, prize_name, prize_rank, prize_image, draw_mode, winner_count } = current;
    if (prize_id) return { prize_id, last_draw_id };
    return { prize_name, prize_rank, prize_image: prize_image ?? undefined, draw_mode, winner_count, last_draw_id };
  }

  /** The people who can win the chosen prize. */
  canWin() {
    const { can_win: canWin } = this.chosen;
    return canWin === undefined ? Infinity : Math.max(0, canWin + this.app.state.participant_count - this.countedAt);
  }

  wantedMode() {
    return this.ownMode ?? this.chosen.draw_mode ?? 'slot';
  }

  wantedCount() {
    return this.ownCount ?? usualCount(this.chosen, this.canWin());
  }

  /** What the server would refuse of the next standby; null for nothing. */
  problemNow() {
    const isNext = this.chosen && nextStep(this.app.state, this.chosen) === 'standby';
    return isNext ? problemOf(this.chosen, this.wantedMode(), this.wantedCount(), this.canWin()) : null;
  }

  async cancel() {
    const { app } = this;
    const { t, state } = app;
    const { current } = state;
    if (!current || current.status === 'revealed') return;
    const isStarted = current.status === 'started';
    const answer = await app.ask({
      title: t('cancelTitle'),
      text: isStarted ? t('cancelPicked') : t('cancelStandby'),
      yes: t('cancelYes'),
      no: t('cancelNo'),
      danger: true,
      fields: isStarted ? [{ name: 'reason', label: t('reason'), value: '', maxLength: 200 }] : [],
    });
    if (!answer) return;
    const reason = answer.reason?.trim() || undefined;
    await app.attempt(() => app.call('POST', 'draw/cancel', { reason, draw_id: current.draw_id }), t('did_cancel'));
  }

  render() {
    for (const [key, label] of Object.entries(this.labels)) label.textContent = this.app.t(key);
    this.renderCurrent();
    this.renderStep();
    this.rehearsal.element.hidden = !this.app.state.rehearsal;
    this.rehearsal.render();
    this.liveStatus.render();
    this.stages.render();
    this.draws.render();
  }

  renderCurrent() {
    const { t, state } = this.app;
    const { current, announced } = state;
    const draw = current ?? announced;
    this.currentDraw.dataset.status = current?.status ?? (announced ? 'announced' : 'idle');
    fillIfChanged(this.currentDraw, [current?.status, draw], () => (draw ? this.drawRows(draw, current) : [make('p', { className: 'quiet' }, t('nothingOn'))]));
  }

  drawRows(draw, current) {
    const { t } = this.app;
    const image = draw.prize_image ? make('img', { src: draw.prize_image, alt: '' }) : '';
    const winners = (draw.winners ?? []).map((number) =>
      make('li', { className: draw.voided?.includes(number) ? 'number voided' : 'number' }, digits(number)),
    );
    return [
      make('p', { className: 'status' }, t(current ? `on_${current.status}` : 'on_announced')),
      make('div', { className: 'prize' }, image, make('strong', {}, draw.prize_name)),
      make('p', { className: 'quiet' }, t('modeAndCount', t(`mode_${draw.draw_mode}`), draw.winner_count)),
      ...(winners.length > 0 ? [make('ul', { className: 'numbers' }, winners)] : []),
    ];
  }

  renderStep() {
    const { t, state } = this.app;
    const step = nextStep(state, this.chosen);
    const isPlaying = this.isPlaying();
    this.stepButton.textContent = this.isBusy ? t('working') : isPlaying ? t('playing', this.secondsLeft()) : this.stepText(step);
    this.stepButton.dataset.step = isPlaying ? 'playing' : step;
    const problem = this.problemNow();
    this.stepButton.disabled = !STEPS.includes(step) || this.isBusy || isPlaying || this.isPaused() || problem !== null;
    this.announceButton.textContent = t('announceNow');
    this.announceButton.hidden = !isPlaying;
    clearTimeout(this.countdown);
    this.fallbackButton.textContent = t('fallback');
    this.fallbackButton.hidden = step !== 'wait' || state.current.outside === 'drand';
    if (isPlaying || step === 'wait') this.countdown = setTimeout(() => this.renderStep(), COUNTDOWN_MS);
    this.cancelButton.textContent = t('cancel');
    this.cancelButton.hidden = !state.current || state.current.status === 'revealed';
    this.renderTuning(problem);
  }

  renderTuning(problem) {
    const { current } = this.app.state;
    for (const input of [this.mode, this.count]) input.disabled = Boolean(current) || !this.chosen;
    this.count.setAttribute('aria-invalid', String(problem !== null));
    this.renderProblem(problem);
    if (!this.chosen) return;
    const mode = current?.draw_mode ?? this.wantedMode();
    if (this.mode.value !== mode) this.mode.value = mode;
    // A number that is being typed stays as it is.
    if (document.activeElement !== this.count) this.count.value = current?.winner_count ?? this.wantedCount();
  }

  /** Says beside the field what stands against the draw, with a button per remedy. */
  renderProblem(problem) {
    const { t } = this.app;
    const text = JSON.stringify(problem);
    this.problem.hidden = problem === null;
    if (text === this.problem.dataset.shown) return;
    this.problem.dataset.shown = text;
    if (!problem) return this.problem.replaceChildren();
    const [first, ...rest] = problem.values;
    const values = problem.key === 'overMode' ? [t(`mode_${first}`), ...rest] : problem.values;
    const fix = ({ mode, count }) => {
      const label = mode ? t('fixMode', t(`mode_${mode}`)) : t(problem.key === 'overMode' ? 'fixCount' : 'fixLeft', count);
      return make('button', { type: 'button', className: 'small', 'data-fix': mode ?? 'count', onclick: () => this.fix(mode, count) }, label);
    };
    this.problem.replaceChildren(make('span', {}, t(problem.key, ...values)), ...problem.fixes.map(fix));
  }

  fix(mode, count) {
    if (mode) return this.setMode(mode);
    this.count.value = count;
    this.setCount(count);
  }

  stepText(step) {
    const { t, state, untilRound } = this.app;
    if (step !== 'wait') return t(`step_${step}`, this.chosen?.prize_name ?? '');
    return t('step_wait', state.current.outside_round, Math.ceil(untilRound(state.current) / 1000));
  }

  secondsLeft() {
    return (this.app.untilShown(this.app.state.current) / 1000).toFixed(1);
  }

  renderPrizes() {
    const { t } = this.app;
    this.list.setAttribute('aria-label', t('prizes'));
    fillIfChanged(this.list, [this.prizes, this.chosen?.prize_id], () => this.prizeRows());
  }

  prizeRows() {
    const { t } = this.app;
    const rows = this.prizes.map((prize) => {
      const isChosen = prize.prize_id === this.chosen?.prize_id;
      const properties = {
        role: 'radio',
        'aria-checked': String(isChosen),
        tabIndex: isChosen ? 0 : -1,
        className: prize.remaining === 0 ? 'gone' : '',
        'data-prize': prize.prize_id,
        'data-focus': prize.prize_id,
        onclick: () => this.choose(prize),
      };
      const name = prize.prize_grade ? `${prize.prize_grade} · ${prize.prize_name}` : prize.prize_name;
      const left = make('span', { className: 'quiet' }, t('left', prize.remaining, prize.quantity));
      return make('li', properties, make('span', { className: 'name' }, name), left);
    });
    return rows.length ? rows : [make('li', { className: 'quiet' }, t('noPrizes'))];
  }

  renderModes() {
    const { value } = this.mode;
    this.mode.replaceChildren(...MODES.map((mode) => make('option', { value: mode }, this.app.t(`mode_${mode}`))));
    this.mode.value = value || 'slot';
    delete this.problem.dataset.shown;
  }
}
