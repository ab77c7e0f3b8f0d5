// The run of show: what happens next, what was drawn, and how it reached the hall.
//
// One big button always says the next step. A step names the draw that it means, so that a second operator who was faster is told so and nothing
// is done twice; and the button rests for a moment after each step, so that a held or doubled key makes one step.

import { nextStep, pickPrize } from "./steps.js";
import { hall } from "./live-status.js";
import { drawn } from "./draws.js";
import { digits, make } from "../shared/dom.js";

/** How long the button rests after a step. */
const REST_MS = 900;

export function build(desk) {
  const { t } = desk;
  const show = { prizes: [], chosen: null, restsUntil: 0, isBusy: false };

  const stand = make('div', { className: 'stand', 'aria-live': 'polite' });
  const primary = make('button', { type: 'button', id: 'step', className: 'main step', onclick: () => step() });
  const cancel = make('button', { type: 'button', id: 'cancel', className: 'danger', onclick: () => callOff() });
  const mode = make('select', { id: 'mode', onchange: () => renderStep() });
  const count = make('input', { id: 'count', type: 'number', min: 1, max: 500, onchange: () => renderStep() });
  const list = make('ul', { id: 'run', className: 'run', role: 'radiogroup' });
  const labels = { mode: make('span'), count: make('span'), next: make('h2'), prizes: make('h2') };
  const meters = hall(desk);
  const results = drawn(desk);

  const element = make(
    'div',
    { className: 'show' },
    make(
      'section',
      { className: 'card now' },
      labels.next,
      stand,
      make('div', { className: 'row tuning' }, make('label', {}, labels.mode, mode), make('label', {}, labels.count, count)),
      make('div', { className: 'row' }, primary, cancel),
    ),
    make('section', { className: 'card list' }, labels.prizes, list),
    meters.element,
    results.element,
  );

  async function loadPrizes() {
    const data = await desk.attempt(() => desk.call('GET', 'prizes'));
    if (!data) return;
    show.prizes = data.prizes;
    choose(pickPrize(show.prizes, show.chosen));
  }

  function choose(prize) {
    const isOther = prize?.prize_id !== show.chosen?.prize_id;
    show.chosen = prize ?? null;
    if (isOther && prize) {
      mode.value = prize.draw_mode ?? 'slot';
      count.value = Math.max(1, Math.min(prize.winner_count ?? 1, prize.remaining || 1));
    }
    renderList();
    renderStep();
  }

  /** A prize as the draw calls take it. */
  const asked = ({ prize_id, prize_name, prize_rank, prize_image }, draw_mode, winner_count) => ({
    prize_id,
    prize_name,
    prize_rank,
    prize_image: prize_image ?? undefined,
    draw_mode,
    winner_count,
    last_draw_id: desk.state.last_draw_id,
  });

  /** What is asked for when the chosen prize is put on stage. */
  const spec = () => asked(show.chosen, mode.value, Number(count.value) || 1);

  /** The prize as it stands ready: what is started is what was shown, whatever is chosen here. */
  const standing = () => asked(desk.state.current, desk.state.current.draw_mode, desk.state.current.winner_count);

  async function step() {
    const next = nextStep(desk.state, show.chosen);
    if (!next.call || show.isBusy || Date.now() < show.restsUntil) return;
    show.isBusy = true;
    renderStep();
    const body = { standby: spec, start: standing, reveal: naming, complete: naming }[next.name]();
    await desk.attempt(() => desk.call('POST', next.call, body), t(`did_${next.name}`));
    show.isBusy = false;
    show.restsUntil = Date.now() + REST_MS;
    setTimeout(renderStep, REST_MS + 20);
    renderStep();
  }

  const naming = () => ({ draw_id: desk.state.current?.draw_id });

  async function callOff() {
    const { current } = desk.state;
    if (!current || current.status === 'revealed') return;
    const isPicked = current.status === 'started';
    const answer = await desk.ask({
      title: t('cancelTitle'),
      text: isPicked ? t('cancelPicked') : t('cancelStandby'),
      yes: t('cancelYes'),
      danger: true,
      fields: isPicked ? [{ name: 'reason', label: t('reason'), value: '', maxLength: 200 }] : [],
    });
    if (!answer) return;
    const reason = answer.reason?.trim() || undefined;
    await desk.attempt(() => desk.call('POST', 'draw/cancel', { reason, draw_id: current.draw_id }), t('did_cancel'));
  }

  function renderStand() {
    const { current, announced } = desk.state;
    const draw = current ?? announced;
    stand.dataset.status = current?.status ?? (announced ? 'announced' : 'idle');
    if (!draw) return void stand.replaceChildren(make('p', { className: 'quiet' }, t('nothingOn')));
    const about = current ? t(`on_${current.status}`) : t('on_announced');
    const picture = draw.prize_image && make('img', { src: draw.prize_image, alt: '' });
    const winners = (draw.winners ?? []).map((number) =>
      make('li', { className: draw.voided?.includes(number) ? 'number voided' : 'number' }, digits(number)),
    );
    stand.replaceChildren(
      ...[
        make('p', { className: 'status' }, about),
        make('div', { className: 'prize' }, picture || '', make('strong', {}, draw.prize_name)),
        make('p', { className: 'quiet' }, t('modeAndCount', t(`mode_${draw.draw_mode}`), draw.winner_count)),
        winners.length > 0 && make('ul', { className: 'numbers' }, winners),
      ].filter(Boolean),
    );
  }

  function renderStep() {
    const { state } = desk;
    const next = nextStep(state, show.chosen);
    const isResting = Date.now() < show.restsUntil;
    primary.textContent = show.isBusy ? t('working') : t(`step_${next.name}`, show.chosen?.prize_name ?? '');
    primary.dataset.step = next.name;
    primary.disabled = !next.call || show.isBusy || isResting;
    cancel.textContent = t('cancel');
    cancel.hidden = !state.current || state.current.status === 'revealed';
    for (const input of [mode, count]) input.disabled = Boolean(state.current) || !show.chosen;
  }

  function renderList() {
    const rows = show.prizes.map((prize) => {
      const isChosen = prize.prize_id === show.chosen?.prize_id;
      return make(
        'li',
        {
          role: 'radio',
          'aria-checked': String(isChosen),
          tabIndex: isChosen ? 0 : -1,
          className: prize.remaining === 0 ? 'gone' : '',
          'data-prize': prize.prize_id,
          onclick: () => choose(prize),
        },
        make('span', { className: 'name' }, prize.prize_grade ? `${prize.prize_grade} · ${prize.prize_name}` : prize.prize_name),
        make('span', { className: 'quiet' }, t('left', prize.remaining, prize.quantity)),
      );
    });
    list.setAttribute('aria-label', t('prizes'));
    list.replaceChildren(...(rows.length ? rows : [make('li', { className: 'quiet' }, t('noPrizes'))]));
  }

  function renderModes() {
    const kept = mode.value;
    mode.replaceChildren(...['slot', 'card', 'network', 'list'].map((value) => make('option', { value }, t(`mode_${value}`))));
    mode.value = kept || show.chosen?.draw_mode || 'slot';
  }

  function render() {
    labels.next.textContent = t('now');
    labels.prizes.textContent = t('prizes');
    labels.mode.textContent = t('mode');
    labels.count.textContent = t('winnerCount');
    renderStand();
    renderStep();
    meters.render();
    results.render();
  }

  function move(by) {
    const place = show.prizes.findIndex((prize) => prize.prize_id === show.chosen?.prize_id);
    const prize = show.prizes[Math.max(0, Math.min(show.prizes.length - 1, place + by))];
    if (!prize) return;
    choose(prize);
    list.querySelector('[aria-checked="true"]')?.focus();
  }

  renderModes();
  desk.listeners.add((frame) => {
    // What was drawn or voided changes what is left of its prize.
    if (['state_sync', 'winner_revealed', 'winner_announced', 'draw_voided', 'event_reset'].includes(frame.type)) loadPrizes();
  });
  loadPrizes();
  return {
    element,
    render,
    reworded() {
      renderModes();
      renderList();
      meters.reworded();
      results.reworded();
    },
    opened() {
      loadPrizes();
      meters.opened();
      results.refresh();
    },
    keyed(pressed) {
      const isOnButton = pressed.target.closest?.('button, a, [role="tab"]') && pressed.target !== primary;
      if (pressed.key === ' ' || (pressed.key === 'Enter' && !isOnButton)) {
        if (isOnButton) return;
        pressed.preventDefault();
        if (!pressed.repeat) step();
      } else if (pressed.key === 'ArrowDown' || pressed.key === 'ArrowUp') {
        pressed.preventDefault();
        move(pressed.key === 'ArrowDown' ? 1 : -1);
      } else if (pressed.key === 'v' || pressed.key === 'V') {
        results.focusFirst();
      }
    },
  };
}
