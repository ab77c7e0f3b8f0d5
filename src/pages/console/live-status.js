// Live status on the run of show: people registered and connected, the state of the server, whether
// a stage is open, and the delivery of the last result.

import { make } from "../shared/dom.js";
import { Edges } from "./edges.js";
import { RegistrationAlert } from "./registration-alert.js";
import { fillIfChanged } from "./rows.js";

const POLL_MS = 5_000;
/** After an announcement the figures change quickly. */
const BUSY_POLL_MS = 700;
const BUSY_FOR_MS = 6_000;
const MIB = 1 << 20;

export class LiveStatus {
  constructor(app) {
    this.app = app;
    this.stats = null;
    this.busyUntil = 0;
    this.timer = null;
    this.heading = make('h2');
    this.figures = make('dl', { className: 'figures' });
    this.bar = make('div', { className: 'bar', role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100 }, make('i'));
    this.delivery = make('p', { id: 'delivery' });
    this.server = make('p', { id: 'server', className: 'quiet' });
    this.alarm = make('p', { id: 'stage-alarm', className: 'wrong', role: 'alert' });
    this.edges = new Edges(app);
    this.registrations = new RegistrationAlert(app);
    this.element = make(
      'section',
      { className: 'card live-status' },
      this.heading,
      this.registrations.element,
      this.figures,
      make('div', { className: 'delivery' }, this.bar, this.delivery),
      this.server,
      this.edges.element,
      this.alarm,
    );
    app.listeners.add(({ type }) => {
      if (type !== 'winner_announced') return;
      this.busyUntil = Date.now() + BUSY_FOR_MS;
      this.poll();
    });
  }

  async poll() {
    clearTimeout(this.timer);
    if (this.element.isConnected && document.visibilityState === 'visible') {
      try {
        this.stats = await this.app.call('GET', 'stats');
        this.render();
      } catch {
        // The connection's status shows an outage; old figures stay.
      }
    }
    this.timer = setTimeout(() => this.poll(), Date.now() < this.busyUntil ? BUSY_POLL_MS : POLL_MS);
  }

  render() {
    const { stats, app } = this;
    const { t, state } = app;
    this.heading.textContent = t('hall');
    const figures = [
      ['registered', state.participant_count],
      ['phones', stats?.phones_connected],
      ['displays', stats?.connections.display],
      ['consoles', stats?.connections.admin],
      ['behind', stats?.behind],
    ];
    const row = ([key, value]) => [make('dt', {}, t(`fig_${key}`)), make('dd', { id: `fig-${key}` }, String(value ?? '–'))];
    fillIfChanged(this.figures, figures, () => figures.flatMap(row));
    this.renderServer();
    this.renderDelivery();
    this.registrations.render(stats?.registrations);
    this.edges.render(stats);
    const alarms = [stats?.display_alive === false && t('noStage'), stats?.server.clock_slow && t('clockSlow')];
    const alarm = alarms.filter(Boolean).join(' ');
    if (this.alarm.textContent !== alarm) this.alarm.textContent = alarm;
  }

  renderServer() {
    const server = this.stats?.server;
    this.server.classList.toggle('wrong', server?.durable === false);
    if (!server) return void (this.server.textContent = '');
    const { memory_bytes: memory, cpu_seconds: cpu, commit_ms_p99: commitMs, inbox_depth: inbox } = server;
    this.server.textContent = this.app.t('server', Math.ceil(memory / MIB), cpu.toFixed(1), commitMs ?? '–', inbox);
  }

  /** How close together phones showed the last winners, as a sample of them says. */
  spreadText() {
    const { spread, delivery } = this.stats;
    if (spread?.draw_id !== delivery.draw_id || spread.phones < 2) return '';
    return this.app.t('spread', spread.phones, spread.middle_ms, spread.whole_ms);
  }

  renderDelivery() {
    const { t } = this.app;
    const delivery = this.stats?.delivery;
    this.bar.hidden = !delivery?.expected;
    if (!delivery) return void (this.delivery.textContent = t('noDelivery'));
    const { expected, delivered } = delivery;
    const percent = expected === 0 ? 100 : Math.floor((100 * delivered) / expected);
    this.bar.firstChild.style.setProperty('--full', `${percent}%`);
    this.bar.setAttribute('aria-valuenow', String(percent));
    this.bar.setAttribute('aria-label', t('delivery'));
    this.bar.dataset.full = String(percent === 100);
    this.delivery.textContent = expected === 0 ? t('deliveredNobody') : `${t('delivered', delivered, expected)} ${this.spreadText()}`;
  }
}
