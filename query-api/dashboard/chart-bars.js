/** Draws the bars of the chart. Each bar is as wide as its time, because a day may have 23 hours and the first bar may be a part of an hour. */

/** @import uPlot from 'uplot' */
/** @import { Point } from './api-types.ts' */

/** @typedef {Point & { readonly from: number, readonly until: number }} Bar  A point with its beginning and end in ms. */

const widest = 64;

/**
 * The function with which uPlot draws the bars.
 * @param {() => { readonly points: readonly Bar[] }} shown
 * @returns {uPlot.Series.PathBuilder}
 */
export function barsOf(shown) {
  return (plot, seriesIdx, first, last) => {
    const path = new Path2D();
    const counts = plot.data[seriesIdx] ?? [];
    const ground = plot.valToPos(0, 'y', true);
    for (let i = first; i <= last; i++) {
      const point = shown().points[i];
      const count = counts[i];
      if (!point || !count) continue;
      const { left, width } = placeOf(plot, point);
      const top = plot.valToPos(count, 'y', true);
      const corner = Math.min(3 * devicePixelRatio, width / 4);
      path.roundRect(left, top, width, Math.max(0, ground - top), [corner, corner, 0, 0]);
    }
    return { fill: path, stroke: path, flags: 1 };
  };
}

/** Left edge and width of a bar in pixels of the canvas. @param {uPlot} plot @param {Bar} bar */
export function placeOf(plot, { from, until }) {
  /** @param {number} ms */
  const leftOf = ms => plot.valToPos(ms / 1_000, 'x', true);
  const [begin, end] = [leftOf(from), leftOf(until)];
  const width = Math.max(1, Math.min((end - begin) * 0.8, widest * devicePixelRatio));
  return { left: (begin + end - width) / 2, width };
}

/**
 * Makes bars of the points of the API: each bar ends where the next one begins.
 * @param {readonly Point[]} points
 * @param {number} to
 * @returns {Bar[]}
 */
export function spanned(points, to) {
  return points.map((point, i) => ({
    ...point,
    from: Date.parse(point.start),
    until: endOf(points[i + 1], to),
  }));
}

/** @param {Point | undefined} next @param {number} to */
function endOf(next, to) {
  return next === undefined ? to : Date.parse(next.start);
}

/** A pattern of slanted lines. Its tiles join without a break. @param {string} colour */
export function hatch(colour) {
  const size = 6 * devicePixelRatio;
  const tile = Object.assign(document.createElement('canvas'), { width: size, height: size });
  const pen = tile.getContext('2d');
  if (pen === null) return colour;
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5 * devicePixelRatio;
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return pen.createPattern(tile, 'repeat') ?? colour;
}

/**
 * Puts a dot above each restated bar, for people who cannot distinguish the colours.
 * @param {uPlot} plot
 * @param {readonly Bar[]} points
 * @param {string} colour
 */
export function dotRestated(plot, points, colour) {
  const { ctx } = plot;
  ctx.save();
  ctx.fillStyle = colour;
  for (const point of points) {
    if (point.state !== 'restated') continue;
    const { left, width } = placeOf(plot, point);
    const y = plot.valToPos(point.count, 'y', true) - 7 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(left + width / 2, y, 2.5 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}
