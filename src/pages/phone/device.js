// What a phone can do beside showing: stay awake, shake, sound. All of it may be refused, by the browser or by its owner, and then nothing is missed.

let isWanted = false;
let audio = null;

/** Keeps the screen on; best asked for inside a tap. A lock ends when the page is hidden and is asked for again when it is seen. */
export async function stayAwake() {
  isWanted = true;
  try {
    await navigator.wakeLock?.request('screen');
  } catch {
    // Battery saving, or a browser that wants a tap first: the next tap asks again.
  }
}

document.addEventListener('visibilitychange', () => {
  if (isWanted && document.visibilityState === 'visible') stayAwake();
});

/** Browsers let a page sound only after a tap: every tap asks for it. */
export function allowSound() {
  try {
    const Audio = window.AudioContext ?? window.webkitAudioContext;
    audio ??= Audio ? new Audio() : null;
    if (audio && audio.state !== 'running') audio.resume().catch(() => {});
  } catch {
    audio = null;
  }
}

/** Shakes the phone, where it can and its owner has touched the page before. */
export function shake(pattern) {
  // Without a touch before, the browser would refuse and complain about it.
  if (navigator.userActivation?.hasBeenActive === false) return;
  navigator.vibrate?.(pattern);
}

/** A short fanfare, if an earlier tap allowed it. */
export function fanfare() {
  if (audio?.state !== 'running') return;
  const notes = [
    [523.25, 0, 0.16],
    [659.25, 0.14, 0.16],
    [783.99, 0.28, 0.16],
    [1046.5, 0.42, 0.7],
    [783.99, 0.42, 0.7],
  ];
  for (const [frequency, after, length] of notes) {
    const start = audio.currentTime + 0.03 + after;
    const tone = audio.createOscillator();
    const loudness = audio.createGain();
    tone.type = 'triangle';
    tone.frequency.value = frequency;
    loudness.gain.setValueAtTime(0, start);
    loudness.gain.linearRampToValueAtTime(0.22, start + 0.015);
    loudness.gain.exponentialRampToValueAtTime(0.001, start + length);
    tone.connect(loudness).connect(audio.destination);
    tone.start(start);
    tone.stop(start + length + 0.05);
  }
}
