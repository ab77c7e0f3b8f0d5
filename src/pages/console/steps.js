// What happens next in a draw. Pure: from the event's state to the next step.

/**
 * The next step: { name, call }, call null when there is none to make.
 * standby → start → reveal → complete; with nothing on the stage the chosen prize is put there.
 */
export function nextStep({ current, phase }, chosen) {
  if (phase === 'closed') return { name: 'closed', call: null };
  switch (current?.status) {
    case 'standby':
      return { name: 'start', call: 'draw/start-animation' };
    case 'started':
      return { name: 'reveal', call: 'draw/reveal' };
    case 'revealed':
      return { name: 'complete', call: 'draw/complete' };
    default:
      if (!chosen) return { name: 'choose', call: null };
      if (chosen.remaining === 0) return { name: 'exhausted', call: null };
      return { name: 'standby', call: 'draw/standby' };
  }
}

/** The prize to draw next: the chosen one while it lasts, else the next on the list that is left, from the chosen one on. */
export function pickPrize(prizes, chosen) {
  const place = prizes.findIndex((prize) => prize.prize_id === chosen?.prize_id);
  if (place >= 0 && prizes[place].remaining > 0) return prizes[place];
  const order = [...prizes.slice(place + 1), ...prizes.slice(0, Math.max(place, 0))];
  return order.find((prize) => prize.remaining > 0) ?? prizes[place] ?? null;
}
