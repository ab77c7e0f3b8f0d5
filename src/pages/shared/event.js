// State of the event as a page knows it: the last state_sync and every frame since.
// Pure: `applyFrame(state, frame)` gives the next state, and the page renders it.
//
// {
//   title, phase, participant_count, connection_count, registration_open, entry_code,
//   event_session_id, you, …   as in state_sync
//   current: null | { status: 'standby' | 'started' | 'revealed', draw_id, prize_name, prize_image,
//                     draw_mode, winner_count, winners, … }
//   results: [{ draw_id, prize_name, winners, voided, … }]   the last ten this role may know
//   announced: null | the draw announced last, until the next standby or start
// }

/** The state before the first frame. */
export const initialState = {
  title: '',
  phase: null,
  participant_count: 0,
  connection_count: 0,
  registration_open: true,
  current: null,
  results: [],
  announced: null,
  you: null,
};

const RESULTS_MAX = 10;

/** The state after a frame; the same object when the frame changes nothing. */
export function applyFrame(state, frame) {
  switch (frame.type) {
    case 'state_sync':
      return fromSync(frame);
    case 'draw_standby':
      return { ...state, current: { ...drawIn(frame), status: 'standby' }, announced: null };
    case 'draw_started':
      return { ...state, current: { ...drawIn(frame), status: 'started' }, announced: null, last_draw_id: frame.draw_id };
    case 'outside_received':
      return withCurrent(state, frame, { outside_value: frame.outside_value });
    case 'show_planned':
      return withCurrent(state, frame, { show_at: frame.show_at });
    case 'outside_fallback':
      return withCurrent(state, frame, { fallback: frame.fallback });
    case 'winner_revealed':
      return { ...state, current: { ...drawIn(frame), status: 'revealed' } };
    case 'winner_announced':
    case 'draw_complete':
      return announce(state, drawIn(frame));
    case 'draw_voided':
      return voidDraw(state, frame);
    case 'event_reset':
      return reset(state, frame);
    case 'participant_joined':
      return { ...state, participant_count: frame.total_count };
    case 'connection_count':
      return { ...state, connection_count: frame.count, phones_connected: frame.phones_connected };
    case 'entry_code':
      return {
        ...state,
        entry_code: frame.entry_code ?? null,
        entry_code_rotates: frame.entry_code_rotates,
        entry_code_required: Boolean(frame.entry_code || frame.entry_code_rotates),
      };
    case 'participants_removed':
      return { ...state, participant_count: frame.total_count };
    default:
      return state;
  }
}

/** The state with a change of the current draw, if the frame is about it. */
const withCurrent = (state, { draw_id: id }, change) =>
  state.current?.draw_id === id ? { ...state, current: { ...state.current, ...change } } : state;

/** The winners of a draw whose win is not voided. */
export const validWinners = ({ winners, voided = [] }) => winners.filter((number) => !voided.includes(number));

function drawIn({ type, seq, epoch, ...draw }) {
  return draw;
}

function fromSync({ type, ...sync }) {
  // A result announced while this page was away is news, unless another draw is already current.
  const announced = sync.current ? null : (sync.results.at(-1) ?? null);
  return { ...initialState, ...sync, you: sync.you ?? null, announced };
}

function announce(state, draw) {
  // winner_announced and draw_complete carry the same payload, back to back.
  if (state.announced?.draw_id === draw.draw_id) return state;
  const { current } = state;
  const isOther = current?.draw_id !== undefined && current.draw_id !== draw.draw_id;
  const others = state.results.filter((result) => result.draw_id !== draw.draw_id);
  return {
    ...state,
    current: current && isOther ? current : null,
    results: [...others, draw].slice(-RESULTS_MAX),
    announced: draw,
  };
}

/** Voids one winner's number, or calls off the whole current draw when the frame names none. */
function voidDraw(state, { draw_id: id, draw_number: number }) {
  const isCurrent = state.current && (id === null || state.current.draw_id === id);
  const withVoid = (draw) => (draw.draw_id === id && number ? { ...draw, voided: [...(draw.voided ?? []), number] } : draw);
  return {
    ...state,
    current: isCurrent && !number ? null : state.current,
    results: state.results.map(withVoid),
    announced: state.announced && withVoid(state.announced),
  };
}

function reset(state, { reset_draws: draws, reset_participants: participants, event_session_id: session }) {
  const cleared = draws || participants ? { current: null, results: [], announced: null } : {};
  if (!participants) return { ...state, ...cleared };
  return { ...state, ...cleared, participant_count: 0, you: null, event_session_id: session };
}
