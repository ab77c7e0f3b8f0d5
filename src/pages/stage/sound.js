// The sound of the show, synthesised: a drum roll while a draw runs, a tick for each landing, a fanfare at the end.
//
// Browsers keep sound locked until somebody clicks or presses a key. Until then everything here is silent, and a roll that should be heard
// begins the moment it may. The audio thread sleeps whenever nothing sounds.

import { recall, remember } from "../shared/storage.js";

const REST_MS = 6_000;
const ROLL_S = 1;
const STROKES = 24;
/** C major, upwards and home. */
const FANFARE = [
  [523.25, 0, 0.16],
  [523.25, 0.17, 0.1],
  [659.25, 0.28, 0.16],
  [783.99, 0.45, 0.2],
  [1046.5, 0.68, 1.1],
  [783.99, 0.68, 1.1],
  [659.25, 0.68, 1.1],
];

/** Gives { unlock, isLocked, toggle, isMuted, roll, hush, tick, fanfare }. `changed` is called when it was unlocked or muted. */
export function makeSound(changed = () => {}) {
  let context = null;
  let master = null;
  let drum = null;
  let rolling = null;
  let wantsRoll = false;
  let rest = null;
  let isMuted = recall('stage.muted') === true;

  /** Whether sound may be made now; wakes the audio thread, and lets it sleep again later. */
  function awake() {
    if (!context || isMuted) return false;
    if (context.state === 'suspended') context.resume().catch(() => {});
    clearTimeout(rest);
    rest = setTimeout(() => {
      if (!rolling) context.suspend().catch(() => {});
    }, REST_MS);
    return true;
  }

  /** A note through an envelope that neither clicks in nor out. */
  function note(hertz, at, seconds, level, shape) {
    const from = context.currentTime + at;
    const tone = new OscillatorNode(context, { type: shape, frequency: hertz });
    const gain = new GainNode(context, { gain: 0 });
    gain.gain.setValueAtTime(0.0001, from);
    gain.gain.exponentialRampToValueAtTime(level, from + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.0001, from + seconds);
    tone.connect(gain).connect(master);
    tone.start(from);
    tone.stop(from + seconds + 0.05);
  }

  function roll() {
    wantsRoll = true;
    if (rolling || !awake()) return;
    drum ??= drumRoll(context);
    const source = new AudioBufferSourceNode(context, { buffer: drum, loop: true });
    const gain = new GainNode(context, { gain: 0.0001 });
    gain.gain.exponentialRampToValueAtTime(0.32, context.currentTime + 1.2);
    source.connect(gain).connect(master);
    source.start();
    rolling = { source, gain };
  }

  function hush() {
    wantsRoll = false;
    silence();
  }

  function silence() {
    if (!rolling) return;
    const { source, gain } = rolling;
    rolling = null;
    gain.gain.cancelScheduledValues(context.currentTime);
    gain.gain.setTargetAtTime(0.0001, context.currentTime, 0.06);
    source.stop(context.currentTime + 0.4);
    awake();
  }

  return {
    isLocked: () => context === null,
    isMuted: () => isMuted,
    /** To be called while a click or a key is being handled. */
    unlock() {
      if (context || typeof AudioContext === 'undefined') return;
      context = new AudioContext();
      master = new DynamicsCompressorNode(context);
      master.connect(context.destination);
      if (wantsRoll) roll();
      else awake();
      changed();
    },
    toggle() {
      isMuted = !isMuted;
      remember('stage.muted', isMuted);
      if (isMuted) silence();
      else if (wantsRoll) roll();
      changed();
    },
    roll,
    hush,
    /** The higher `step`, the higher its pitch: what lands later sounds nearer to the goal. */
    tick(step = 0) {
      if (!awake()) return;
      note(440 * 2 ** (Math.min(step, 14) / 7), 0, 0.22, 0.3, 'triangle');
      note(1760, 0, 0.04, 0.12, 'square');
    },
    fanfare() {
      if (!awake()) return;
      for (const [hertz, at, seconds] of FANFARE) {
        note(hertz, at, seconds, 0.2, 'triangle');
        note(hertz / 2, at, seconds, 0.07, 'sawtooth');
      }
    },
  };
}

/** One second of a snare roll: short bursts of noise, each a little different, so that the loop is not heard. */
function drumRoll(context) {
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, rate * ROLL_S, rate);
  const samples = buffer.getChannelData(0);
  const stroke = Math.floor(samples.length / STROKES);
  let low = 0;
  for (let i = 0; i < samples.length; i += 1) {
    const accent = Math.floor(i / stroke) % 4 === 0 ? 1 : 0.72;
    const fading = Math.exp((-6 * (i % stroke)) / stroke);
    low += 0.32 * (Math.random() * 2 - 1 - low);
    samples[i] = low * fading * accent;
  }
  return buffer;
}
