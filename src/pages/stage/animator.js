// Animator of the stage: an animation runs while the winners are unknown, settles on them once, and
// reports when it has.
//
// The server plans the moment at which every page shows the winners, and an animation fits the time
// that is left: a reloaded stage plays the rest, and no stage is early. Without a plan, a stage that
// did not run the animation itself shows the winners at once, without drum roll or fanfare. A timer
// bounds the settling, since animations do not advance in a hidden tab.

import { delay } from "../shared/dom.js";
import { CardAnimation } from "./cards.js";
import { ListAnimation } from "./list.js";
import { NetworkAnimation } from "./network.js";
import { SlotAnimation } from "./slot.js";

const ANIMATIONS = { slot: SlotAnimation, card: CardAnimation, network: NetworkAnimation, list: ListAnimation };
/** Time beyond its plan after which a settling is cut short. */
const GRACE_MS = 700;
/** Pause before the winners appear for people who prefer reduced motion. */
const REDUCED_MOTION_MS = 1_200;
/** Time left of a planned show below which there is nothing to play any more. */
const SHOW_MIN_MS = 400;
/** Time before the planned moment at which the last movement ends. */
const REST_MS = 60;
const PACE_MIN = 0.1;
const BURST_MODES = ['card', 'network'];
const SCENES = ['running', 'revealed', 'announced'];

/** Runs at most one animation in `area`. */
export class Animator {
  /**
   * `untilShown(draw)`: milliseconds until a draw's planned moment, 0 without one; `onSettled()`:
   * the winners of a draw are shown; `onPage(page, pages)`: a list shows a page.
   */
  constructor({ area, sound, confetti, isReducedMotion, untilShown, onSettled, onPage }) {
    Object.assign(this, { area, sound, confetti, isReducedMotion, untilShown, onSettled, onPage });
    /**
     * The current draw's animation: { id, mode, animation, durationMs, isRunning, isPlanned,
     * winners, isSettled, deadline }.
     */
    this.current = null;
  }

  get isSettled() {
    return Boolean(this.current?.isSettled);
  }

  turnPage(by) {
    this.current?.animation.turnPage?.(by);
  }

  /** Brings the area to a scene. `pool`: the numbers that can win its draw. */
  present({ name, draw }, pool) {
    if (!SCENES.includes(name)) return this.clear();
    if (this.current?.id !== draw.draw_id) {
      this.clear();
      this.current = this.open(draw, pool);
    }
    const { current } = this;
    if (name === 'running' && !current.isRunning) {
      current.isRunning = true;
      current.animation.run();
      this.sound.startRoll();
    } else if (name !== 'running' && !current.winners) {
      this.settle(current, draw.winners, this.untilShown(draw));
    }
    // The moment has come, or the host did not wait for it.
    if (name === 'announced' && current.isPlanned) this.finish(current);
    if (current.isSettled) this.mark(draw);
  }

  open(draw, pool) {
    const Animation = ANIMATIONS[draw.draw_mode] ?? ListAnimation;
    const plan = {
      area: this.area,
      pool,
      winnerCount: draw.winner_count,
      isReducedMotion: this.isReducedMotion,
      onLand: (step, element) => this.land(step, element),
      onPage: this.onPage,
    };
    this.area.replaceChildren();
    return {
      id: draw.draw_id,
      mode: draw.draw_mode,
      animation: new Animation(plan),
      durationMs: Animation.durationMs(plan),
      isRunning: false,
      isPlanned: false,
      winners: null,
      isSettled: false,
      deadline: null,
    };
  }

  /** Marks a landing by a sound, and by confetti where winners land one by one. */
  land(step, element) {
    this.sound.tick(step);
    if (!BURST_MODES.includes(this.current?.mode)) return;
    const { left, top, width, height } = element.getBoundingClientRect();
    this.confetti.burst((left + width / 2) / innerWidth, (top + height / 2) / innerHeight);
  }

  clear() {
    if (!this.current) return;
    clearTimeout(this.current.deadline);
    this.current.animation.stop();
    this.current = null;
    this.area.replaceChildren();
    this.sound.stopRoll();
    this.confetti.clear();
  }

  /** Settles on the winners within the `leftMs` that are planned; 0: at its own pace. */
  settle(draw, winners, leftMs) {
    draw.winners = winners;
    draw.isPlanned = leftMs > SHOW_MIN_MS;
    if (!draw.isRunning && draw.isPlanned) {
      draw.isRunning = true;
      draw.animation.run();
    } else if (!draw.isRunning) {
      draw.animation.show(winners);
      draw.isSettled = true;
      this.onSettled();
      return;
    }
    draw.deadline = setTimeout(() => this.finish(draw), draw.isPlanned ? leftMs : draw.durationMs + GRACE_MS);
    const pace = draw.isPlanned ? Math.max(PACE_MIN, (leftMs - REST_MS) / draw.durationMs) : 1;
    const settling = this.isReducedMotion() ? delay(REDUCED_MOTION_MS) : draw.animation.settle(winners, pace);
    if (!draw.isPlanned) settling.then(() => this.finish(draw));
  }

  finish(draw) {
    if (draw !== this.current || draw.isSettled) return;
    clearTimeout(draw.deadline);
    draw.animation.show(draw.winners);
    draw.isSettled = true;
    this.sound.stopRoll();
    this.sound.fanfare();
    this.confetti.shower();
    this.onSettled();
  }

  /** Dims the numbers whose win was voided; they stay in place. Turns those green who are here. */
  mark({ voided = [], arrived = [] }) {
    for (const [numbers, mark] of [[voided, 'voided'], [arrived, 'arrived']]) {
      for (const number of numbers) {
        const element = this.area.querySelector(`[data-winner="${number}"]`);
        if (element) element.dataset[mark] = '';
      }
    }
  }
}
