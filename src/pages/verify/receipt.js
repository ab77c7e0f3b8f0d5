// The receipt of this phone, compared with a proof: what it heard before anybody knew the result.

import { ensure, fromHex, toHex } from "./bytes.js";
import { rootFrom } from "./locked.js";
import { timeOfRound } from "./outside.js";

/** The error of a phone's clock that needs no alarm. */
const CLOCK_ERROR_MS = 5_000;

/**
 * The contradictions between a receipt and the locked draws that hold, as codes with values.
 * `draws`: the draws by id; `running`: the id of the draw that goes on, whose proof is not out yet.
 */
export function compare(receipt, proof, draws, running = null) {
  if (receipt.event_session_id !== proof.event_session_id) return [['otherSession']];
  const found = [];
  if (receipt.anchor && !(proof.anchors ?? []).includes(receipt.anchor)) found.push(['otherAnchor']);
  if (receipt.isOther) found.push(['otherReceipt']);
  const isOut = (id) => draws.has(Number(id)) || Number(id) !== running;
  for (const [field, code] of [['head', 'otherHead'], ['code', 'otherCode']]) {
    for (const [id, kept] of Object.entries(receipt[`${field}s`] ?? {}).filter(([id]) => isOut(id))) {
      const draw = draws.get(Number(id));
      if (kept === null) found.push(['heardUnlocked', id]);
      else if (!draw) found.push(['notInProof', id]);
      else if (draw[field] !== kept) found.push([code, id]);
    }
  }
  for (const [id, at] of Object.entries(receipt.live ?? {})) {
    const lateMs = lateBy(draws.get(Number(id)), receipt.heads?.[id], at);
    if (lateMs > CLOCK_ERROR_MS) found.push(['lateLock', id, Math.round(lateMs / 1000)]);
  }
  for (const { draw_id: id, path } of (receipt.paths ?? []).filter(({ draw_id }) => isOut(draw_id))) {
    const draw = draws.get(id);
    if (!draw) found.push(['notInProof', id]);
    else if (!leads(receipt, draw, path)) found.push(['notInList', id]);
  }
  return found;
}

/** Milliseconds from a round's time to the lock's, as a phone heard it; null where that says nothing. */
export function lateBy(draw, head, at) {
  const round = head && draw?.head === head ? timeOfRound(draw) : null;
  return round === null || !Number.isFinite(at) ? null : at - round;
}

/** The draws that are not by the rule that the phone heard first. */
export const byOtherRule = ({ outside }, draws) =>
  outside ? [...draws.values()].filter((draw) => draw.outside !== outside).map((draw) => draw.draw_id) : [];

function leads({ draw_number: number, receipt: key }, draw, path) {
  try {
    ensure(Array.isArray(path), 'malformed', 'path');
    const steps = path.map((step) => fromHex(step, 32, 'path'));
    const root = rootFrom(number, fromHex(key, 32, 'receipt'), draw.registered_through, steps);
    return root !== null && toHex(root) === draw.roster_root;
  } catch {
    return false;
  }
}
