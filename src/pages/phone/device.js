// Device features of a phone: wake lock, vibration and sound. The browser or its owner may refuse
// each of them, and nothing depends on it.

import { keepAwake } from "./awake.js";

let wantsWakeLock = false;
let audio = null;

/**
 * Keeps the screen on; best called during a tap. The lock ends when the page is hidden and is
 * requested again when it is visible.
 */
export async function keepScreenOn() {
  wantsWakeLock = true;
  try {
    await navigator.wakeLock.request('screen');
  } catch {
    // Plain HTTP, battery saving, or a browser that wants a tap first: the next tap tries again.
    if (document.visibilityState === 'visible') keepAwake();
  }
}

document.addEventListener('visibilitychange', () => {
  if (wantsWakeLock && document.visibilityState === 'visible') keepScreenOn();
});

/** Unlocks sound, which browsers allow only during a tap: every tap calls this. */
export function unlockSound() {
  try {
    const Audio = window.AudioContext ?? window.webkitAudioContext;
    audio ??= Audio ? new Audio() : null;
    if (audio && audio.state !== 'running') audio.resume().catch(() => {});
  } catch {
    audio = null;
  }
}

/** Vibrates, where the phone can and its owner has touched the page before. */
export function vibrate(pattern) {
  // Without an earlier touch the browser refuses and logs an error.
  if (navigator.userActivation?.hasBeenActive === false) return;
  navigator.vibrate?.(pattern);
}

/** Plays a short fanfare if an earlier tap unlocked sound. */
export function playFanfare() {
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
    const oscillator = audio.createOscillator();
    const volume = audio.createGain();
    oscillator.type = 'triangle';
    oscillator.frequency.value = frequency;
    volume.gain.setValueAtTime(0, start);
    volume.gain.linearRampToValueAtTime(0.22, start + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.001, start + length);
    oscillator.connect(volume).connect(audio.destination);
    oscillator.start(start);
    oscillator.stop(start + length + 0.05);
  }
}
