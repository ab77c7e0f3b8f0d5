// The event as a page knows it: the last state_sync, and every frame since. Pure: `after(state, frame)` gives the next state, and a page renders it.
//
// {
//   title, phase, participant_count, connection_count, registration_open, entry_code, event_session_id, you, …   as state_sync says
//   current: null | { status: 'standby' | 'started' | 'revealed', draw_id, prize_name, prize_image, draw_mode, winner_count, winners, … }
//   results: [{ draw_id, prize_name, winners, voided, … }]   the last ten that this role may know, the latest last
//   announced: null | the draw that was announced last, until the next standby or start
// }

/** The state before anything was heard. */
export const unknown = {
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
export function after(state, frame) {
  switch (frame.type) {
    case 'state_sync':
      return synced(state, frame);
    case 'draw_standby':
      return { ...state, current: { ...plain(frame), status: 'standby' }, announced: null };
    case 'draw_started':
      return { ...state, current: { ...plain(frame), status: 'started' }, announced: null, last_draw_id: frame.draw_id };
    case 'winner_revealed':
      return { ...state, current: { ...plain(frame), status: 'revealed' } };
    case 'winner_announced':
    case 'draw_complete':
      return announced(state, plain(frame));
    case 'draw_voided':
      return voided(state, frame);
    case 'event_reset':
      return reset(state, frame);
    case 'participant_joined':
      return { ...state, participant_count: frame.total_count };
    case 'connection_count':
      return { ...state, connection_count: frame.count };
    case 'entry_code':
      return { ...state, entry_code: frame.entry_code ?? null, entry_code_required: Boolean(frame.entry_code) };
    default:
      return state;
  }
}

function plain({ type, seq, epoch, ...draw }) {
  return draw;
}

function synced(state, sync) {
  const { type, ...told } = sync;
  const last = told.results.at(-1) ?? null;
  // What was announced while this page was away is news; once something else stands on the stage it is not.
  return { ...unknown, ...told, you: told.you ?? null, announced: told.current ? null : last };
}

function announced(state, draw) {
  // Two frames tell of it, back to back.
  if (state.announced?.draw_id === draw.draw_id) return state;
  const others = state.results.filter((result) => result.draw_id !== draw.draw_id);
  return {
    ...state,
    current: state.current && state.current.draw_id !== undefined && state.current.draw_id !== draw.draw_id ? state.current : null,
    results: [...others, draw].slice(-RESULTS_MAX),
    announced: draw,
  };
}

function voided(state, { draw_id: id, draw_number: number }) {
  const isCurrent = state.current && (id === null || state.current.draw_id === id);
  const mark = (draw) => (draw.draw_id === id && number ? { ...draw, voided: [...(draw.voided ?? []), number] } : draw);
  return {
    ...state,
    current: isCurrent && !number ? null : state.current,
    results: state.results.map(mark),
    announced: state.announced && mark(state.announced),
  };
}

function reset(state, frame) {
  const cleared = frame.reset_draws || frame.reset_participants ? { current: null, results: [], announced: null } : {};
  if (!frame.reset_participants) return { ...state, ...cleared };
  return { ...state, ...cleared, participant_count: 0, you: null, event_session_id: frame.event_session_id };
}
