// A short chime of the console: a winner has reported to be present.

const NOTES = [
  [659.25, 0],
  [987.77, 0.12],
];
const LENGTH_S = 0.5;
const VOLUME = 0.12;

let audio = null;

/** Plays the chime. A browser that nobody has touched refuses, and stays silent. */
export function playChime() {
  if (navigator.userActivation?.hasBeenActive === false) return;
  try {
    audio ??= new AudioContext();
    audio.resume().catch(() => {});
  } catch {
    return;
  }
  for (const [frequency, after] of NOTES) {
    const start = audio.currentTime + 0.02 + after;
    const oscillator = audio.createOscillator();
    const volume = audio.createGain();
    oscillator.frequency.value = frequency;
    volume.gain.setValueAtTime(VOLUME, start);
    volume.gain.exponentialRampToValueAtTime(0.001, start + LENGTH_S);
    oscillator.connect(volume).connect(audio.destination);
    oscillator.start(start);
    oscillator.stop(start + LENGTH_S);
  }
}
