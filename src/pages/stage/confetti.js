// Confetti: one canvas over the whole stage, and a loop that ends with the last scrap.

const COLOURS = ['#ffd166', '#fff3d0', '#ff8fab', '#8ecaff', '#9b8cff', '#7ee0b8'];
/** The most pixels of the canvas: scraps need no more, and to paint and send a whole wall of them 60 times a second costs a laptop dearly. */
const PIXELS_MAX = 1_000_000;
const SCRAPS_MAX = 320;
const FALL = 0.42;
const DRAG = 0.985;

/** Gives { burst(x, y, count), shower(), clear() }; places are shares of the stage's width and height. Calm people get none. */
export function makeConfetti(canvas, isCalm) {
  const pen = canvas.getContext('2d');
  let scraps = [];
  let frame = null;
  let last = 0;

  function fit() {
    const scale = Math.min(1, Math.sqrt(PIXELS_MAX / (innerWidth * innerHeight)));
    const [width, height] = [Math.round(innerWidth * scale), Math.round(innerHeight * scale)];
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
  }

  /** `throwing`: gives a scrap's speed, in heights of the stage a second. */
  function add(count, place, throwing) {
    if (isCalm() || document.hidden) return;
    if (frame === null) fit();
    const size = canvas.height * 0.016;
    for (let i = 0; i < count && scraps.length < SCRAPS_MAX; i += 1) {
      const [x, y] = place();
      const [vx, vy] = throwing();
      scraps.push({
        x: x * canvas.width,
        y: y * canvas.height,
        vx: vx * canvas.height,
        vy: vy * canvas.height,
        size: size * (0.6 + Math.random() * 0.8),
        turn: Math.random() * 6.3,
        spin: (Math.random() - 0.5) * 9,
        roll: Math.random() * 6.3,
        colour: COLOURS[Math.floor(Math.random() * COLOURS.length)],
      });
    }
    if (frame === null && scraps.length > 0) {
      last = performance.now();
      frame = requestAnimationFrame(step);
    }
  }

  function step(now) {
    const seconds = Math.min(0.05, (now - last) / 1000);
    last = now;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const drag = DRAG ** (seconds * 60);
    for (const scrap of scraps) {
      scrap.vx *= drag;
      scrap.vy = scrap.vy * drag + FALL * canvas.height * seconds;
      scrap.x += scrap.vx * seconds;
      scrap.y += scrap.vy * seconds;
      scrap.turn += scrap.spin * seconds;
      scrap.roll += 6 * seconds;
      const [cos, sin] = [Math.cos(scrap.turn), Math.sin(scrap.turn)];
      const tilt = Math.cos(scrap.roll);
      pen.setTransform(cos, sin, -sin * tilt, cos * tilt, scrap.x, scrap.y);
      pen.fillStyle = scrap.colour;
      pen.fillRect(-scrap.size / 2, -scrap.size / 3, scrap.size, scrap.size * 0.62);
    }
    scraps = scraps.filter((scrap) => scrap.y < canvas.height * 1.05);
    frame = scraps.length > 0 ? requestAnimationFrame(step) : null;
    if (frame === null) clear();
  }

  function clear() {
    scraps = [];
    if (frame !== null) cancelAnimationFrame(frame);
    frame = null;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
  }

  return {
    burst(x, y, count = 36) {
      const around = () => {
        const angle = Math.random() * Math.PI * 2;
        const speed = 0.15 + Math.random() * 0.5;
        return [Math.cos(angle) * speed, Math.sin(angle) * speed - 0.25];
      };
      add(count, () => [x, y], around);
    },
    /** From both lower corners, inwards and high. */
    shower() {
      for (const side of [0, 1]) {
        const inwards = side === 0 ? 1 : -1;
        add(120, () => [side, 0.9], () => [inwards * (0.1 + Math.random() * 0.9), -(0.55 + Math.random() * 0.75)]);
      }
    },
    clear,
  };
}
