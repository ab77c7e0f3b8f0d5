// The web of the network: where its nodes are, which are neighbours, and how it is painted. Painted once; only lit nodes are painted again.

import { digits } from "../shared/dom.js";

/** The most pixels of a canvas: a 4K screen gets the web at a little less than its own sharpness. */
const PIXELS_MAX = 3_200_000;
/** Neighbours in a sunflower's spiral differ by one of these. */
const FIBONACCI = [1, 2, 3, 5, 8, 13, 21, 34, 55];
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
/** How much wider than high the web may become. */
const STRETCH_MAX = 1.9;
/** Below this a label would be dust. */
const LABEL_PX_MIN = 7;

/** The nodes of a web that fills width × height: { x, y, near, litSince, gap, scale, letters, width, height }, lengths in CSS pixels. */
export function weave(count, width, height) {
  const [wide, tall] = [Math.min(width, height * STRETCH_MAX), height];
  const x = new Float32Array(count);
  const y = new Float32Array(count);
  const u = new Float32Array(count);
  const v = new Float32Array(count);
  for (let i = 0; i < count; i += 1) {
    const radius = Math.sqrt((i + 0.5) / count) * 0.48;
    u[i] = radius * Math.cos(i * GOLDEN_ANGLE);
    v[i] = radius * Math.sin(i * GOLDEN_ANGLE);
    x[i] = width / 2 + wide * u[i];
    y[i] = height / 2 + tall * v[i];
  }
  // Neighbours are those of the round sunflower, however the wall stretches it.
  const apart = 0.48 * Math.sqrt(Math.PI / count);
  const near = Array.from({ length: count }, () => []);
  for (let i = 0; i < count; i += 1) {
    for (const step of FIBONACCI) {
      const j = i + step;
      if (j < count && Math.hypot(u[i] - u[j], v[i] - v[j]) < apart * 1.5) {
        near[i].push(j);
        near[j].push(i);
      }
    }
  }
  const gap = apart * Math.sqrt(wide * tall);
  const scale = Math.min(devicePixelRatio, Math.sqrt(PIXELS_MAX / (width * height)));
  const letters = getComputedStyle(document.documentElement).fontFamily;
  return { x, y, near, litSince: new Float64Array(count).fill(-Infinity), gap, scale, letters, width, height };
}

/** Paints threads, nodes and numbers. */
export function paintWeb(pen, web, labels) {
  pen.setTransform(web.scale, 0, 0, web.scale, 0, 0);
  pen.clearRect(0, 0, web.width, web.height);
  pen.strokeStyle = 'rgb(170 176 255 / 32%)';
  pen.lineWidth = 1;
  pen.beginPath();
  for (let i = 0; i < labels.length; i += 1) {
    for (const j of web.near[i]) {
      if (j < i) continue;
      pen.moveTo(web.x[i], web.y[i]);
      pen.lineTo(web.x[j], web.y[j]);
    }
  }
  pen.stroke();
  const size = labelPx(web);
  write(pen, size, web.letters);
  for (let i = 0; i < labels.length; i += 1) {
    bead(pen, web, i, 'rgb(20 22 74)', 'rgb(150 156 245 / 55%)');
    pen.fillStyle = 'rgb(214 217 255 / 88%)';
    if (size >= LABEL_PX_MIN) pen.fillText(digits(labels[i]), web.x[i], web.y[i]);
  }
}

/** Paints the nodes that a spark passed within the last `fading` milliseconds. */
export function litAt(pen, web, labels, now, fading) {
  const size = labelPx(web);
  write(pen, size, web.letters);
  for (let i = 0; i < labels.length; i += 1) {
    const age = (now - web.litSince[i]) / fading;
    if (age >= 1) continue;
    pen.globalAlpha = 1 - Math.max(0, age) ** 2;
    bead(pen, web, i, '#ffd166', '#fff3d0');
    pen.fillStyle = '#14164a';
    if (size >= LABEL_PX_MIN) pen.fillText(digits(labels[i]), web.x[i], web.y[i]);
  }
  pen.globalAlpha = 1;
}

/** A few numbers get beads of a hand's width at most, not plates. */
const beadPx = (web) => Math.min(web.gap * 0.35, web.height * 0.06);
const labelPx = (web) => beadPx(web) * 0.84;

function write(pen, size, letters) {
  pen.font = `700 ${size}px ${letters}`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
}

function bead(pen, web, i, fill, edge) {
  pen.beginPath();
  pen.arc(web.x[i], web.y[i], beadPx(web), 0, 7);
  pen.fillStyle = fill;
  pen.fill();
  pen.strokeStyle = edge;
  pen.lineWidth = 1;
  pen.stroke();
}
