// Graph of the network animation: places of its nodes, their neighbours, and how it is painted. The
// graph is painted once; only lit nodes are painted again.

import { digits } from "../shared/dom.js";

/** Limit of a canvas: a 4K screen gets the graph at a little less than its own resolution. */
const PIXELS_MAX = 3_200_000;
/** Index differences of neighbours in a sunflower's spiral. */
const FIBONACCI = [1, 2, 3, 5, 8, 13, 21, 34, 55];
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));
/** Radius of the spiral, as a share of its side. */
const RADIUS = 0.48;
/** Limit of the graph's width over its height. */
const STRETCH_MAX = 1.9;
/** Size below which a label is illegible. */
const LABEL_PX_MIN = 7;

/**
 * Lays out the nodes in width × height CSS pixels. Gives { x, y, neighbours, litAt, gap, scale,
 * font, width, height }; `gap`: distance of neighbours; `litAt`: when a spark last passed, per
 * node.
 */
export function layOut(count, width, height) {
  const [wide, tall] = [Math.min(width, height * STRETCH_MAX), height];
  const x = new Float32Array(count);
  const y = new Float32Array(count);
  const points = [];
  for (let i = 0; i < count; i += 1) {
    const radius = Math.sqrt((i + 0.5) / count) * RADIUS;
    const point = [radius * Math.cos(i * GOLDEN_ANGLE), radius * Math.sin(i * GOLDEN_ANGLE)];
    points.push(point);
    x[i] = width / 2 + wide * point[0];
    y[i] = height / 2 + tall * point[1];
  }
  const apart = RADIUS * Math.sqrt(Math.PI / count);
  const gap = apart * Math.sqrt(wide * tall);
  const scale = Math.min(devicePixelRatio, Math.sqrt(PIXELS_MAX / (width * height)));
  const font = getComputedStyle(document.documentElement).fontFamily;
  const litAt = new Float64Array(count).fill(-Infinity);
  return { x, y, neighbours: neighboursIn(points, apart * 1.5), litAt, gap, scale, font, width, height };
}

/** Neighbours per point of the round spiral, however the screen stretches it. */
function neighboursIn(points, distanceMax) {
  const neighbours = points.map(() => []);
  points.forEach(([x, y], i) => {
    for (const step of FIBONACCI) {
      const j = i + step;
      if (j >= points.length || Math.hypot(x - points[j][0], y - points[j][1]) >= distanceMax) continue;
      neighbours[i].push(j);
      neighbours[j].push(i);
    }
  });
  return neighbours;
}

/** Paints edges, nodes and numbers. */
export function paintGraph(context, graph, labels) {
  context.setTransform(graph.scale, 0, 0, graph.scale, 0, 0);
  context.clearRect(0, 0, graph.width, graph.height);
  context.strokeStyle = 'rgb(170 176 255 / 32%)';
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i < labels.length; i += 1) {
    for (const j of graph.neighbours[i]) {
      if (j < i) continue;
      context.moveTo(graph.x[i], graph.y[i]);
      context.lineTo(graph.x[j], graph.y[j]);
    }
  }
  context.stroke();
  setFont(context, graph);
  const colours = { fill: 'rgb(20 22 74)', edge: 'rgb(150 156 245 / 55%)', text: 'rgb(214 217 255 / 88%)' };
  for (let i = 0; i < labels.length; i += 1) paintNode(context, graph, labels, i, colours);
}

/** Paints the nodes that a spark passed within the last `fadeMs`. */
export function paintLitNodes(context, graph, labels, nowMs, fadeMs) {
  setFont(context, graph);
  const colours = { fill: '#ffd166', edge: '#fff3d0', text: '#14164a' };
  for (let i = 0; i < labels.length; i += 1) {
    const age = (nowMs - graph.litAt[i]) / fadeMs;
    if (age >= 1) continue;
    context.globalAlpha = 1 - Math.max(0, age) ** 2;
    paintNode(context, graph, labels, i, colours);
  }
  context.globalAlpha = 1;
}

/** A node's radius: a share of the gap, and of the height when there are only a few. */
const radiusPx = (graph) => Math.min(graph.gap * 0.35, graph.height * 0.06);
const labelPx = (graph) => radiusPx(graph) * 0.84;

function setFont(context, graph) {
  context.font = `700 ${labelPx(graph)}px ${graph.font}`;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
}

function paintNode(context, graph, labels, i, { fill, edge, text }) {
  const [x, y] = [graph.x[i], graph.y[i]];
  context.beginPath();
  context.arc(x, y, radiusPx(graph), 0, 7);
  context.fillStyle = fill;
  context.fill();
  context.strokeStyle = edge;
  context.lineWidth = 1;
  context.stroke();
  context.fillStyle = text;
  if (labelPx(graph) >= LABEL_PX_MIN) context.fillText(digits(labels[i]), x, y);
}
