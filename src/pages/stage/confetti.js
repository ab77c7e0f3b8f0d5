// Confetti: one canvas over the whole stage, and a loop that ends with the last piece.

const COLOURS = ['#ffd166', '#fff3d0', '#ff8fab', '#8ecaff', '#9b8cff', '#7ee0b8'];
/**
 * Limit of the canvas: pieces need no more, and to paint a whole 4K screen 60 times per second
 * is expensive for a laptop.
 */
const PIXELS_MAX = 1_000_000;
const PIECES_MAX = 320;
const GRAVITY = 0.42;
const DRAG = 0.985;
const BURST_PIECES = 36;
const SHOWER_PIECES = 120;

export class Confetti {
  /** People who prefer reduced motion get none. */
  constructor(canvas, isReducedMotion) {
    Object.assign(this, { canvas, isReducedMotion });
    this.context = canvas.getContext('2d');
    this.pieces = [];
    this.frame = null;
    this.lastMs = 0;
  }

  /** Bursts from a place, given as shares of the stage's width and height. */
  burst(x, y) {
    const velocity = () => {
      const angle = Math.random() * Math.PI * 2;
      const speed = 0.15 + Math.random() * 0.5;
      return [Math.cos(angle) * speed, Math.sin(angle) * speed - 0.25];
    };
    this.add(BURST_PIECES, x, y, velocity);
  }

  /** Showers from both lower corners, inwards and high. */
  shower() {
    for (const [x, direction] of [[0, 1], [1, -1]]) {
      this.add(SHOWER_PIECES, x, 0.9, () => [direction * (0.1 + Math.random() * 0.9), -(0.55 + Math.random() * 0.75)]);
    }
  }

  clear() {
    this.pieces = [];
    if (this.frame !== null) cancelAnimationFrame(this.frame);
    this.frame = null;
    this.erase();
  }

  /** `velocity`: gives the velocity of a piece, in heights of the stage per second. */
  add(count, x, y, velocity) {
    if (this.isReducedMotion() || document.hidden) return;
    if (this.frame === null) this.fit();
    const { width, height } = this.canvas;
    for (let i = 0; i < count && this.pieces.length < PIECES_MAX; i += 1) {
      const [vx, vy] = velocity();
      this.pieces.push({
        x: x * width,
        y: y * height,
        vx: vx * height,
        vy: vy * height,
        size: height * 0.016 * (0.6 + Math.random() * 0.8),
        turn: Math.random() * 6.3,
        spin: (Math.random() - 0.5) * 9,
        roll: Math.random() * 6.3,
        colour: COLOURS[Math.floor(Math.random() * COLOURS.length)],
      });
    }
    if (this.frame === null && this.pieces.length > 0) {
      this.lastMs = performance.now();
      this.requestFrame();
    }
  }

  fit() {
    const scale = Math.min(1, Math.sqrt(PIXELS_MAX / (innerWidth * innerHeight)));
    const [width, height] = [Math.round(innerWidth * scale), Math.round(innerHeight * scale)];
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
  }

  requestFrame() {
    this.frame = requestAnimationFrame((nowMs) => this.step(nowMs));
  }

  step(nowMs) {
    const seconds = Math.min(0.05, (nowMs - this.lastMs) / 1000);
    this.lastMs = nowMs;
    this.erase();
    for (const piece of this.pieces) this.move(piece, seconds);
    this.pieces = this.pieces.filter((piece) => piece.y < this.canvas.height * 1.05);
    if (this.pieces.length > 0) this.requestFrame();
    else this.clear();
  }

  move(piece, seconds) {
    const { context, canvas } = this;
    const drag = DRAG ** (seconds * 60);
    piece.vx *= drag;
    piece.vy = piece.vy * drag + GRAVITY * canvas.height * seconds;
    piece.x += piece.vx * seconds;
    piece.y += piece.vy * seconds;
    piece.turn += piece.spin * seconds;
    piece.roll += 6 * seconds;
    const [cos, sin] = [Math.cos(piece.turn), Math.sin(piece.turn)];
    const tilt = Math.cos(piece.roll);
    context.setTransform(cos, sin, -sin * tilt, cos * tilt, piece.x, piece.y);
    context.fillStyle = piece.colour;
    context.fillRect(-piece.size / 2, -piece.size / 3, piece.size, piece.size * 0.62);
  }

  erase() {
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }
}
