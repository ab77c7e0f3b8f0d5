// The show of one draw: it runs for as long as nobody knows the winners, settles on them once, and says when it has.
//
// A stage that learns of winners it never ran for (it was reloaded, or its line was down) shows them as they stand, without drum or fanfare.
// A settling ends by a timer at the latest: in a hidden tab animations stand still, and the phones in the hall wait for this page's word.

import { cardsMs, makeCards } from "./cards.js";
import { listMs, makeList } from "./list.js";
import { makeNetwork, networkMs } from "./network.js";
import { makeSlot, slotMs } from "./slot.js";

const WAYS = {
  slot: { make: makeSlot, ms: ({ count }) => slotMs(count) },
  card: { make: makeCards, ms: ({ seats }) => cardsMs(seats) },
  network: { make: makeNetwork, ms: ({ seats }) => networkMs(seats) },
  list: { make: makeList, ms: listMs },
};
/** What a settling may take beyond its plan before it is cut short. */
const GRACE_MS = 700;
/** For people who asked for little motion the winners appear at once, after a breath. */
const CALM_MS = 1_200;
const BURST_WAYS = ['card', 'network'];

/**
 * Keeps at most one show, in `floor`. `settled()` is called when a show's winners stand, by whatever way; `turned(page, pages)` for a list.
 * Gives { present(scene, count), isSettled(), turn(by) }.
 */
export function makeShows({ floor, sound, confetti, isCalm, settled, turned }) {
  let now = null;

  function open(draw, count) {
    const way = WAYS[draw.draw_mode] ?? WAYS.list;
    const plan = { floor, count: Math.max(1, count), seats: draw.winner_count, isCalm, landed, turned };
    floor.replaceChildren();
    return { id: draw.draw_id, way: draw.draw_mode, act: way.make(plan), plan, ms: way.ms(plan), isRunning: false, winners: null, isSettled: false, deadline: null };
  }

  function landed(step, element) {
    sound.tick(step);
    if (!BURST_WAYS.includes(now?.way)) return;
    const place = element.getBoundingClientRect();
    confetti.burst((place.left + place.width / 2) / innerWidth, (place.top + place.height / 2) / innerHeight);
  }

  function clear() {
    if (!now) return;
    clearTimeout(now.deadline);
    now.act.stop();
    now = null;
    floor.replaceChildren();
    sound.hush();
    confetti.clear();
  }

  function settle(show, winners) {
    show.winners = winners;
    if (!show.isRunning) {
      show.act.show(winners);
      show.isSettled = true;
      settled();
      return;
    }
    show.deadline = setTimeout(() => finish(show), show.ms + GRACE_MS);
    const settling = isCalm() ? pause(CALM_MS) : show.act.settle(winners);
    settling.then(() => finish(show));
  }

  function finish(show) {
    if (show !== now || show.isSettled) return;
    clearTimeout(show.deadline);
    show.act.show(show.winners);
    show.isSettled = true;
    sound.hush();
    sound.fanfare();
    confetti.shower();
    settled();
  }

  return {
    isSettled: () => Boolean(now?.isSettled),
    turn: (by) => now?.act.turn?.(by),
    /** Brings the floor to a scene; `count`: how many numbers are in the hall. */
    present({ name, draw }, count) {
      if (!['running', 'revealed', 'announced'].includes(name)) return clear();
      if (now?.id !== draw.draw_id) {
        clear();
        now = open(draw, count);
      }
      if (name === 'running' && !now.isRunning) {
        now.isRunning = true;
        now.act.run();
        sound.roll();
      } else if (name !== 'running' && !now.winners) {
        settle(now, draw.winners);
      }
      if (now.isSettled) markVoided(floor, draw.voided ?? []);
    },
  };
}

/** Dims the numbers that were withdrawn; they stay where they stood. */
function markVoided(floor, voided) {
  for (const number of voided) {
    const place = floor.querySelector(`[data-winner="${number}"]`);
    if (place) place.dataset.voided = '';
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
