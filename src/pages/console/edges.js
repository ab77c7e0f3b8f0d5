// The edges that hold phones beside this server, one line each, and the code by which another one
// joins. Shown only where edges can join.

import { make } from "../shared/dom.js";

const SILENT_MS = 3_000;
const CLOCK_OFF_MS = 2_000;

export class Edges {
  constructor(app) {
    this.app = app;
    this.heading = make('h3');
    this.list = make('ul');
    this.add = make('button', { type: 'button', id: 'add-edge', onclick: () => this.showCode() });
    /** The command with the code, which is a secret: it goes with the page. */
    this.command = make('code', { id: 'edge-command', hidden: true });
    this.element = make('div', { id: 'edges', hidden: true }, this.heading, this.list, this.add, this.command);
  }

  /** `stats`: the event's figures; null before the first. */
  render(stats) {
    const { t } = this.app;
    this.element.hidden = !stats?.takes_edges;
    if (this.element.hidden) return;
    this.heading.textContent = t('edges');
    this.add.textContent = t('addEdge');
    this.list.replaceChildren(...stats.edges.map((edge) => this.line(edge)));
  }

  async showCode() {
    const made = await this.app.attempt(() => this.app.callAll('POST', '/admin/edge-code'));
    if (!made) return;
    this.command.textContent = `luckydraw edge --join ${made.code}`;
    this.command.hidden = false;
  }

  line(edge) {
    const { t } = this.app;
    const { name, address, version, sockets, frames_behind: behind, lag_ms: lagMs, clock_ahead_ms: aheadMs, silent_ms: silentMs } = edge;
    const trouble = [
      silentMs > SILENT_MS && t('edgeSilent', Math.round(silentMs / 1_000)),
      edge.has_other_version && t('edgeVersion', version || '?'),
      Math.abs(aheadMs) > CLOCK_OFF_MS && t('edgeClock', Math.round(aheadMs / 1_000)),
    ].filter(Boolean);
    const text = [address || name, t('edgeFigures', sockets, behind, lagMs), ...trouble].join(' · ');
    return make('li', { className: trouble.length ? 'wrong' : '', 'data-edge': name }, text);
  }
}
