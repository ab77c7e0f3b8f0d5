// The hall: who is registered and connected, whether the stage is there, and how the last result reached everybody.

import { make } from "../shared/dom.js";

const CALM_MS = 5_000;
/** After an announcement the figures move. */
const BUSY_MS = 700;
const BUSY_FOR_MS = 6_000;

export function hall(desk) {
  const { t } = desk;
  let stats = null;
  let busyUntil = 0;
  let timer = null;

  const heading = make('h2');
  const figures = make('dl', { className: 'figures' });
  const bar = make('div', { className: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, make('i'));
  const words = make('p', { id: 'delivery' });
  const machine = make('p', { id: 'server', className: 'quiet' });
  const alarm = make('p', { id: 'stage-alarm', className: 'wrong', role: 'alert' });
  const element = make('section', { className: 'card hall' }, heading, figures, make('div', { className: 'delivery' }, bar, words), machine, alarm);

  async function look() {
    clearTimeout(timer);
    if (element.isConnected && document.visibilityState === 'visible') {
      try {
        stats = await desk.call('GET', 'stats');
        render();
      } catch {
        // The line says it; figures that are old stay where they are.
      }
    }
    timer = setTimeout(look, Date.now() < busyUntil ? BUSY_MS : CALM_MS);
  }

  function render() {
    heading.textContent = t('hall');
    const { state } = desk;
    const rows = [
      ['registered', state.participant_count, 'registered'],
      ['phones', stats?.connections.phone ?? '–', 'phones'],
      ['displays', stats?.connections.display ?? '–', 'displays'],
      ['consoles', stats?.connections.admin ?? '–', 'consoles'],
      ['behind', stats?.behind ?? '–', 'behind'],
    ];
    figures.replaceChildren(
      ...rows.flatMap(([key, value, id]) => [make('dt', {}, t(`fig_${key}`)), make('dd', { id: `fig-${id}` }, String(value))]),
    );
    renderServer();
    renderDelivery();
    const isAlive = stats === null || stats.display_alive !== false;
    const text = isAlive ? '' : t('noStage');
    if (alarm.textContent !== text) alarm.textContent = text;
  }

  function renderServer() {
    const server = stats?.server;
    machine.textContent = server ? t('server', Math.ceil(server.memory_bytes / 1048576), server.cpu_seconds.toFixed(1), server.commit_ms_p99 ?? '–', server.inbox_depth) : '';
    machine.classList.toggle('wrong', server?.durable === false);
  }

  function renderDelivery() {
    const delivery = stats?.delivery;
    bar.hidden = !delivery?.expected;
    if (!delivery) return void (words.textContent = t('noDelivery'));
    const { expected, delivered } = delivery;
    const percent = expected === 0 ? 100 : Math.floor((100 * delivered) / expected);
    const slowest = delivery.slowest_ms ?? Math.ceil(delivery.slowest_us / 1000);
    bar.firstChild.style.setProperty('--full', `${percent}%`);
    bar.setAttribute('aria-valuenow', String(percent));
    bar.setAttribute('aria-label', t('delivery'));
    bar.dataset.full = String(percent === 100);
    words.textContent = expected === 0 ? t('deliveredNobody') : t('delivered', delivered, expected, slowest);
  }

  desk.listeners.add((frame) => {
    if (frame.type !== 'winner_announced') return;
    busyUntil = Date.now() + BUSY_FOR_MS;
    look();
  });
  return { element, render, reworded: render, opened: look };
}
