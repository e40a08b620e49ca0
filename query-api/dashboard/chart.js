/** Clicks over time as bars. How final each is shows in its form, too: solid, hatched, or with a dot on top. */
import { h } from './dom.js';
import { compact, local, number, utc } from './format.js';
import { stateMark, words } from './parts/state-mark.js';
import uPlot from './uplot/uPlot.esm.js';

const states = ['final', 'provisional', 'restated'];

/** `label`: what the bars are, for who cannot see them. */
export function createChart({ label, isSmall = false }) {
  const box = h('div', { class: isSmall ? 'chart small' : 'chart', role: 'img', 'aria-label': label });
  const tip = h('div', { class: 'tip', hidden: true });
  let plot;
  let shown = { points: [], from: 0, to: 0, step: 60_000 };

  const draw = () => {
    if (box.clientWidth === 0) return;
    plot?.destroy();
    const size = { width: box.clientWidth, height: box.clientHeight };
    plot = new uPlot({ ...size, ...optionsOf(() => shown, tip) }, dataOf(shown), box);
    box.append(tip);
  };
  const resize = new ResizeObserver(() => {
    if (plot) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
    else draw();
  });
  resize.observe(box);
  document.addEventListener('theme', draw);

  const table = tableOf(() => shown.points);
  return {
    element: h('figure', {}, box, table.element),
    /** `points` as the API gives them; `from`, `to`, `step` in ms. */
    show(next) {
      shown = next;
      box.setAttribute('aria-label', `${label}: ${summaryOf(next.points)}`);
      table.refresh();
      if (plot) plot.setData(dataOf(shown));
      else draw();
    },
    close() {
      resize.disconnect();
      document.removeEventListener('theme', draw);
      plot?.destroy();
    },
  };
}

export function legend() {
  const entry = state => h('span', {}, h('i', { 'data-state': state, 'aria-hidden': 'true' }), words[state]);
  return h('div', { class: 'legend', 'aria-hidden': 'true' }, states.map(entry));
}

function dataOf({ points }) {
  const starts = points.map(point => Date.parse(point.start) / 1_000);
  return [starts, ...states.map(state => points.map(point => (point.state === state ? point.count : null)))];
}

function optionsOf(shown, tip) {
  const axis = {
    stroke: colour('ink-3'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
  };
  const bars = uPlot.paths.bars({ size: [0.78, 64], align: 1, radius: 0.12 });
  const seriesOf = state => ({
    stroke: state === 'provisional' ? colour('provisional') : undefined,
    width: state === 'provisional' ? 1 : 0,
    fill: state === 'provisional' ? hatch(colour('provisional')) : colour(state),
    paths: bars,
    points: { show: false },
  });
  return {
    legend: { show: false },
    padding: [10, 16, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: true, range: () => [shown().from / 1_000, shown().to / 1_000] },
      y: { range: (_plot, _min, max) => [0, Math.max(5, (max ?? 0) * 1.1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, values: timeLabels, size: 30 },
      { ...axis, size: 52, values: (_plot, values) => values.map(value => (value % 1 === 0 ? compact(value) : '')) },
    ],
    series: [{}, ...states.map(seriesOf)],
    hooks: { draw: [plot => dotRestated(plot, shown())], setCursor: [plot => showTip(plot, shown(), tip)] },
  };
}

/** As it is in the theme of the moment: a canvas knows no variables. */
function colour(name) {
  const probe = h('i', { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function timeLabels(_plot, splits, _axis, _space, step) {
  let before = '';
  return splits.map(at => {
    const date = new Date(at * 1_000);
    const day = date.toLocaleDateString(undefined, { month: 'short', day: 'numeric' });
    if (step >= 86_400) return day;
    const isNewDay = before !== '' && before !== day;
    before = day;
    return isNewDay ? day : local(date, 'clock');
  });
}

/** Lines from edge to edge of a tile, so that they join across the bar. */
function hatch(colour) {
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
function dotRestated(plot, { points, step }) {
  const { ctx } = plot;
  ctx.save();
  ctx.fillStyle = colour('restated');
  for (const { start, count, state } of points) {
    if (state !== 'restated') continue;
    const x = plot.valToPos((Date.parse(start) + step * 0.39) / 1_000, 'x', true);
    const y = plot.valToPos(count, 'y', true) - 7 * devicePixelRatio;
    ctx.beginPath();
    ctx.arc(x, y, 2.5 * devicePixelRatio, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}

function showTip(plot, { points, step }, tip) {
  const { left } = plot.cursor;
  const at = left < 0 ? undefined : plot.posToVal(left, 'x') * 1_000;
  const point = points.find(({ start }) => at >= Date.parse(start) && at < Date.parse(start) + step);
  tip.hidden = !point;
  if (!point) return;
  const time = Date.parse(point.start);
  tip.replaceChildren(
    h('div', {}, local(time, 'day')),
    h('div', { class: 'muted' }, utc(time)),
    h('div', {}, h('b', {}, number(point.count)), ' clicks'),
    h('div', { class: 'muted' }, `${number(point.duplicates)} copies, ${number(point.late)} late`),
    stateMark(point.state, point.pending_late),
  );
  const x = left + plot.over.offsetLeft;
  const shift = x > plot.width / 2 ? x - tip.offsetWidth - 14 : x + 14;
  tip.style.transform = `translate(${Math.round(shift)}px, 8px)`;
}

/** The same for those who cannot see the bars; it is only made while it is open. */
function tableOf(points) {
  const body = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The chart as a table' });
  const fill = () => {
    const rows = points().map(point =>
      h(
        'tr',
        {},
        h('td', {}, h('time', { title: utc(Date.parse(point.start)) }, local(point.start, 'day'))),
        ...[point.count, point.duplicates, point.late].map(value => h('td', { class: 'num' }, number(value))),
        h('td', {}, stateMark(point.state, point.pending_late)),
      ),
    );
    const heads = ['Time', 'Clicks', 'Copies', 'Late', 'State'];
    const head = heads.map((text, i) => h('th', { scope: 'col', class: i > 0 && i < 4 ? 'num' : undefined }, text));
    body.replaceChildren(h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, rows.reverse())));
  };
  const details = h('details', { class: 'table' }, h('summary', {}, 'As a table'), body);
  const refresh = () => details.open && fill();
  details.addEventListener('toggle', refresh);
  return { element: details, refresh };
}

function summaryOf(points) {
  const total = points.reduce((sum, point) => sum + point.count, 0);
  const most = points.reduce((best, point) => (point.count > (best?.count ?? -1) ? point : best), undefined);
  return `${number(total)} clicks${most ? `, most at ${local(most.start, 'day')} with ${number(most.count)}` : ''}`;
}
