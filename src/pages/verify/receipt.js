// The receipt of this phone, compared with a proof: what it heard before anybody knew the result.

import { ensure, fromHex, toHex } from "./bytes.js";
import { rootFrom } from "./locked.js";

/**
 * The contradictions between a receipt and the locked draws that hold, as codes with values.
 * `draws`: the draws by id.
 */
export function compare(receipt, proof, draws) {
  if (receipt.event_session_id !== proof.event_session_id) return [['otherSession']];
  const found = [];
  if (receipt.anchor && !(proof.anchors ?? []).includes(receipt.anchor)) found.push(['otherAnchor']);
  for (const [field, code] of [['head', 'otherHead'], ['code', 'otherCode']]) {
    for (const [id, kept] of Object.entries(receipt[`${field}s`] ?? {})) {
      const draw = draws.get(Number(id));
      if (!draw) found.push(['notInProof', id]);
      else if (draw[field] !== kept) found.push([code, id]);
    }
  }
  for (const { draw_id: id, path } of receipt.paths ?? []) {
    const draw = draws.get(id);
    if (!draw) found.push(['notInProof', id]);
    else if (!leads(receipt, draw, path)) found.push(['notInList', id]);
  }
  return found;
}

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
