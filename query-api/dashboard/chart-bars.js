/** How bars are drawn: each as wide as its time, as a day may have 23 hours and the first bar be a part of one. */

const widest = 64;

/** For uPlot. `shown()`: `{ points }`, as `spanned` gives them. */
export function barsOf(shown) {
  return (plot, seriesIdx, first, last) => {
    const path = new Path2D();
    const counts = plot.data[seriesIdx];
    const ground = plot.valToPos(0, 'y', true);
    for (let i = first; i <= last; i++) {
      const point = shown().points[i];
      if (!point || !counts[i]) continue;
      const { left, width } = placeOf(plot, point);
      const top = plot.valToPos(counts[i], 'y', true);
      const corner = Math.min(3 * devicePixelRatio, width / 4);
      path.roundRect(left, top, width, Math.max(0, ground - top), [corner, corner, 0, 0]);
    }
    return { fill: path, stroke: path, flags: 1 };
  };
}

/** In pixels of the canvas. */
export function placeOf(plot, { from, until }) {
  const [begin, end] = [from, until].map(ms => plot.valToPos(ms / 1_000, 'x', true));
  const width = Math.max(1, Math.min((end - begin) * 0.8, widest * devicePixelRatio));
  return { left: (begin + end - width) / 2, width };
}

/** Points of the API with their begin and end in ms: each ends where the next one begins. */
export function spanned(points, to) {
  return points.map((point, i) => ({
    ...point,
    from: Date.parse(point.start),
    until: i + 1 < points.length ? Date.parse(points[i + 1].start) : to,
  }));
}

/** Lines from edge to edge of a tile, so that they join across the bar. */
export function hatch(colour) {
  const size = 6 * devicePixelRatio;
  const tile = Object.assign(document.createElement('canvas'), { width: size, height: size });
  const pen = tile.getContext('2d');
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5 * devicePixelRatio;
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return pen.createPattern(tile, 'repeat');
}

/** For those who do not tell the colours apart. */
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
