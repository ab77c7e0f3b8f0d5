// Countdown of the last seconds before the planned moment of a draw: 3, 2, 1, by the server's clock,
// so that the stage and all phones count together.

const SECONDS = 3;

export class Countdown {
  /**
   * `until(draw)`: milliseconds until a draw's planned moment, 0 without one; `show(second)`: called
   * with 3, 2 and 1 when each begins, and with null when nothing counts any more.
   */
  constructor({ until, show }) {
    Object.assign(this, { until, show });
    this.moment = null;
    this.second = null;
    this.timer = null;
  }

  /** Counts down to the moment of this draw; null stops. */
  follow(draw) {
    const moment = draw?.show_at ?? null;
    if (moment === this.moment) return;
    this.moment = moment;
    this.tick(draw);
  }

  tick(draw) {
    clearTimeout(this.timer);
    const leftMs = this.moment ? this.until(draw) : 0;
    const left = Math.ceil(leftMs / 1_000);
    // At least once per second, since the clock is set anew after a sleep.
    if (leftMs > 0) this.timer = setTimeout(() => this.tick(draw), Math.min(1_000, leftMs - 1_000 * Math.min(SECONDS, left - 1)));
    this.set(left >= 1 && left <= SECONDS ? left : null);
  }

  set(second) {
    if (second === this.second) return;
    this.second = second;
    this.show(second);
  }
}
