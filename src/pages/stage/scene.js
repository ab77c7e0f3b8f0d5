// What stands on the stage for a state of the event. Pure, so that a reload, a lost line and a live frame all lead to the same picture.

const OF_STATUS = { standby: 'standby', started: 'running', revealed: 'revealed' };
const PHASE_OF_NOTICE = { REGISTRATION_OPEN: 'open', REGISTRATION_CLOSED: 'drawing', EVENT_CLOSED: 'closed' };

/**
 * The scene: { name, draw }. name: 'connecting' (nothing heard yet), 'lobby', 'standby', 'running', 'revealed', 'announced', 'between' or 'over'.
 * `isMain`: between draws the stage shows who won so far, and the lobby how to join.
 */
export function sceneOf(state, isMain) {
  if (state.phase === null) return { name: 'connecting', draw: null };
  if (state.current) return { name: OF_STATUS[state.current.status], draw: state.current };
  if (state.announced) return { name: 'announced', draw: state.announced };
  if (state.phase === 'closed') return { name: 'over', draw: null };
  return { name: isMain && state.results.length > 0 ? 'between' : 'lobby', draw: null };
}

/** The state after a notice that the phase changed; the same state for any other. */
export function noticed(state, { code }) {
  const phase = PHASE_OF_NOTICE[code];
  return phase ? { ...state, phase, registration_open: phase === 'open' } : state;
}

/** The results to look back on: the latest first, without the draw that is on the stage. */
export function earlier(state, draw) {
  return state.results.filter((result) => result.draw_id !== draw?.draw_id).reverse();
}

/** The winners of a result that still stand. */
export const standing = ({ winners, voided = [] }) => winners.filter((number) => !voided.includes(number));

/** A picture of this server, or null: nothing on the stage is fetched from anywhere else. */
export const ownImage = (path) => (typeof path === 'string' && /^\/(?!\/)/.test(path) ? path : null);
