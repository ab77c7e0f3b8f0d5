// Sound of the stage, synthesised: a drum roll while a draw runs, a tick per landing, a fanfare at
// the end.
//
// Browsers lock sound until somebody clicks or presses a key. Until then everything here is silent,
// and a roll that is due starts as soon as it may. The audio thread sleeps while nothing sounds.

import * as storage from "../shared/storage.js";

const SLEEP_AFTER_MS = 6_000;
const ROLL_SECONDS = 1;
const STROKES = 24;
const QUIET = 0.0001;
const MUTED_KEY = 'stage.muted';
/** C major, upwards and home: frequency in Hz, start and length in seconds. */
const FANFARE = [
  [523.25, 0, 0.16],
  [523.25, 0.17, 0.1],
  [659.25, 0.28, 0.16],
  [783.99, 0.45, 0.2],
  [1046.5, 0.68, 1.1],
  [783.99, 0.68, 1.1],
  [659.25, 0.68, 1.1],
];

export class Sound {
  /** `onChange` is called when sound was unlocked or muted. */
  constructor(onChange) {
    this.onChange = onChange;
    this.context = null;
    this.master = null;
    this.drum = null;
    this.rolling = null;
    this.wantsRoll = false;
    this.isMirror = false;
    this.sleepTimer = null;
    this.isMuted = storage.get(MUTED_KEY) === true;
  }

  get isLocked() {
    return this.context === null;
  }

  /** Unlocks sound; must be called while a click or a key is handled. */
  unlock() {
    if (this.context || typeof AudioContext === 'undefined') return;
    this.context = new AudioContext();
    this.master = new DynamicsCompressorNode(this.context);
    this.master.connect(this.context.destination);
    if (this.wantsRoll) this.startRoll();
    else this.wake();
    this.onChange();
  }

  toggleMute() {
    this.isMuted = !this.isMuted;
    storage.set(MUTED_KEY, this.isMuted);
    if (this.isMuted) this.silence();
    else if (this.wantsRoll) this.startRoll();
    this.onChange();
  }

  /** Mutes or not, as the console asks. */
  setMuted(isMuted) {
    if (isMuted !== this.isMuted) this.toggleMute();
  }

  /** Silent while another stage leads. */
  setMirror(isMirror) {
    if (isMirror === this.isMirror) return;
    this.isMirror = isMirror;
    if (isMirror) this.silence();
    else if (this.wantsRoll) this.startRoll();
  }

  startRoll() {
    this.wantsRoll = true;
    if (this.rolling || !this.wake()) return;
    const { context } = this;
    this.drum ??= drumRoll(context);
    const source = new AudioBufferSourceNode(context, { buffer: this.drum, loop: true });
    const gain = new GainNode(context, { gain: QUIET });
    gain.gain.exponentialRampToValueAtTime(0.32, context.currentTime + 1.2);
    source.connect(gain).connect(this.master);
    source.start();
    this.rolling = { source, gain };
  }

  stopRoll() {
    this.wantsRoll = false;
    this.silence();
  }

  /**
   * Plays a tick; the higher `step`, the higher its pitch, since later landings are nearer to the
   * end.
   */
  tick(step = 0) {
    if (!this.wake()) return;
    this.play(440 * 2 ** (Math.min(step, 14) / 7), 0, 0.22, 0.3, 'triangle');
    this.play(1760, 0, 0.04, 0.12, 'square');
  }

  /** Two notes: a winner is here. */
  chime() {
    if (!this.wake()) return;
    this.play(1046.5, 0, 0.5, 0.25, 'triangle');
    this.play(1568, 0.14, 0.8, 0.2, 'triangle');
  }

  fanfare() {
    if (!this.wake()) return;
    for (const [hertz, start, seconds] of FANFARE) {
      this.play(hertz, start, seconds, 0.2, 'triangle');
      this.play(hertz / 2, start, seconds, 0.07, 'sawtooth');
    }
  }

  /**
   * Wakes the audio thread and lets it sleep again later; returns true if sound may be made now.
   */
  wake() {
    const { context } = this;
    if (!context || this.isMuted || this.isMirror) return false;
    if (context.state === 'suspended') context.resume().catch(() => {});
    clearTimeout(this.sleepTimer);
    this.sleepTimer = setTimeout(() => {
      if (!this.rolling) context.suspend().catch(() => {});
    }, SLEEP_AFTER_MS);
    return true;
  }

  /** Plays a note through an envelope that does not click. */
  play(hertz, start, seconds, volume, type) {
    const from = this.context.currentTime + start;
    const oscillator = new OscillatorNode(this.context, { type, frequency: hertz });
    const gain = new GainNode(this.context, { gain: 0 });
    gain.gain.setValueAtTime(QUIET, from);
    gain.gain.exponentialRampToValueAtTime(volume, from + 0.02);
    gain.gain.exponentialRampToValueAtTime(QUIET, from + seconds);
    oscillator.connect(gain).connect(this.master);
    oscillator.start(from);
    oscillator.stop(from + seconds + 0.05);
  }

  silence() {
    if (!this.rolling) return;
    const { source, gain } = this.rolling;
    this.rolling = null;
    gain.gain.cancelScheduledValues(this.context.currentTime);
    gain.gain.setTargetAtTime(QUIET, this.context.currentTime, 0.06);
    source.stop(this.context.currentTime + 0.4);
    this.wake();
  }
}

/**
 * One second of a snare roll: short bursts of noise, each a little different, so that the loop is
 * inaudible.
 */
function drumRoll(context) {
  const rate = context.sampleRate;
  const buffer = context.createBuffer(1, rate * ROLL_SECONDS, rate);
  const samples = buffer.getChannelData(0);
  const stroke = Math.floor(samples.length / STROKES);
  let low = 0;
  for (let i = 0; i < samples.length; i += 1) {
    const accent = Math.floor(i / stroke) % 4 === 0 ? 1 : 0.72;
    const decay = Math.exp((-6 * (i % stroke)) / stroke);
    low += 0.32 * (Math.random() * 2 - 1 - low);
    samples[i] = low * decay * accent;
  }
  return buffer;
}
