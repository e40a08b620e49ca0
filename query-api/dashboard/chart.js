/**
 * Shows clicks over time as bars. The form of a bar says how final it is: final bars are solid, provisional ones hatched, and
 * restated ones have a dot on top. A click on a bar, or a span drawn with the mouse, makes that time the new range. The table
 * below the chart does the same for people who use a keyboard.
 */

import { zoomTo } from './address.js';
import { barsOf, dotRestated, hatch, spanned } from './chart-bars.js';
import { h } from './dom.js';
import { compact, local, number, shownZone, utc } from './format.js';
import { besideText } from './parts/net-and-gross.js';
import { stateMark, stateText, words } from './parts/state-mark.js';
import { giveRows } from './parts/take.js';
import uPlot from './uplot/uPlot.esm.js';

/** @import { Finality, Point } from './api-types.ts' */
/** @import { Bar } from './chart-bars.js' */

/** @typedef {{ readonly points: readonly Bar[], readonly from: number, readonly to: number }} Shown */

const states = /** @type {const} */ (['final', 'provisional', 'restated']);
/** @type {Shown} */
const nothing = { points: [], from: 0, to: 60_000 };
const minuteMs = 60_000;

/** `label` says what the bars are, for people who cannot see them. @param {{ readonly label: string }} options */
export function createChart({ label }) {
  const box = h('div', { class: 'chart', role: 'img', 'aria-label': label });
  const tip = h('div', { class: 'tip', hidden: true });
  /** @type {uPlot | undefined} */
  let plot;
  let shown = nothing;

  const draw = () => {
    if (box.clientWidth === 0) return;
    plot?.destroy();
    const size = { width: box.clientWidth, height: box.clientHeight };
    plot = new uPlot({ ...size, ...optionsOf(() => shown, tip) }, dataOf(shown), box);
    letZoom(plot, () => shown);
    box.append(tip);
  };
  const resize = new ResizeObserver(() => {
    if (plot) plot.setSize({ width: box.clientWidth, height: box.clientHeight });
    else draw();
  });
  resize.observe(box);
  document.addEventListener('theme', draw);

  const table = tableOf(() => shown.points);
  /** @param {Shown} next */
  const set = next => {
    shown = next;
    box.setAttribute('aria-label', `${label}: ${summaryOf(next.points)}`);
    table.refresh();
    if (plot) plot.setData(dataOf(shown));
    else draw();
  };
  return {
    element: giveRows(h('figure', {}, box, table.element), () => rowsOf(shown.points)),
    /**
     * `points` are those of the API. `from` and `to` are the ends of the range in ms.
     * @param {{ readonly points: readonly Point[], readonly from: number, readonly to: number }} next
     */
    show: ({ points, from, to }) => set({ points: spanned(points, to), from, to }),
    clear() {
      tip.hidden = true;
      set({ ...shown, points: [] });
      box.setAttribute('aria-label', `${label}: not known yet`);
    },
    /** @param {boolean} isStale */
    stale: isStale => box.toggleAttribute('data-stale', isStale),
    close() {
      resize.disconnect();
      document.removeEventListener('theme', draw);
      plot?.destroy();
    },
  };
}

export function legend() {
  /** @param {Finality} state */
  const entry = state => h('span', {}, h('i', { 'data-state': state, 'aria-hidden': 'true' }), words[state]);
  return h('div', { class: 'legend', 'aria-hidden': 'true' }, states.map(entry));
}

/** @param {Shown} shown @returns {uPlot.AlignedData} */
function dataOf({ points }) {
  const starts = points.map(point => point.from / 1_000);
  return [starts, ...states.map(state => points.map(point => (point.state === state ? point.count : null)))];
}

/**
 * @param {() => Shown} shown
 * @param {HTMLElement} tip
 * @returns {Omit<uPlot.Options, 'width' | 'height'>}
 */
function optionsOf(shown, tip) {
  const axis = {
    stroke: colour('ink-3'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('grid'), width: 1 },
    ticks: { show: false },
  };
  /** @param {Finality} state @returns {uPlot.Series} */
  const seriesOf = state => ({
    ...(state === 'provisional' && { stroke: colour('provisional') }),
    width: state === 'provisional' ? 1 : 0,
    fill: state === 'provisional' ? hatch(colour('provisional')) : colour(state),
    paths: barsOf(shown),
    points: { show: false },
  });
  return {
    legend: { show: false },
    padding: [10, 16, 0, 0],
    tzDate: at => uPlot.tzDate(new Date(at * 1_000), shownZone()),
    cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 6 }, points: { show: false } },
    scales: {
      x: { time: true, range: () => [shown().from / 1_000, shown().to / 1_000] },
      y: { range: (_plot, _min, max) => [0, Math.max(5, (max ?? 0) * 1.1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, values: timeLabels, size: 30 },
      { ...axis, size: 52, values: (_plot, values) => values.map(value => (value % 1 === 0 ? compact(value) : '')) },
    ],
    series: [{}, ...states.map(seriesOf)],
    hooks: {
      draw: [plot => dotRestated(plot, shown().points, colour('restated'))],
      setCursor: [plot => showTip(plot, shown(), tip)],
      setSelect: [plot => zoomToSpan(plot, shown())],
    },
  };
}

/** The value of a colour in the current theme, because a canvas does not know CSS variables. @param {string} name */
function colour(name) {
  const probe = h('i', { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** @type {uPlot.Axis.DynamicValues} */
function timeLabels(_plot, splits, _axis, _space, step) {
  let before = '';
  return splits.map(at => {
    const day = local(at * 1_000, 'date');
    if (step >= 86_400) return day;
    const clock = local(at * 1_000, 'clock');
    const isNewDay = clock === '00:00' || (before !== '' && before !== day);
    before = day;
    return isNewDay ? day : clock;
  });
}

/** @param {uPlot} plot @param {Shown} shown @param {number} left */
function pointAt(plot, { points }, left) {
  const at = left < 0 ? Number.NaN : plot.posToVal(left, 'x') * 1_000;
  return points.find(({ from, until }) => at >= from && at < until);
}

/** Makes a clicked bar the new range. The end of a drag is not a click. @param {uPlot} plot @param {() => Shown} shown */
function letZoom(plot, shown) {
  /** @type {number | undefined} */
  let downAt;
  plot.over.addEventListener('pointerdown', event => {
    downAt = event.clientX;
  });
  plot.over.addEventListener('click', event => {
    if (downAt === undefined || Math.abs(event.clientX - downAt) > 5) return;
    const point = pointAt(plot, shown(), event.offsetX);
    if (point) zoomTo(point.from, point.until);
  });
}

/** @param {uPlot} plot @param {Shown} shown */
function zoomToSpan(plot, { from, to }) {
  const { left, width } = plot.select;
  if (width === 0) return;
  const [begin, end] = [plot.posToVal(left, 'x') * 1_000, plot.posToVal(left + width, 'x') * 1_000];
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  const start = Math.max(from, Math.floor(begin / minuteMs) * minuteMs);
  zoomTo(start, Math.max(start + minuteMs, Math.min(to, Math.ceil(end / minuteMs) * minuteMs)));
}

/** @param {uPlot} plot @param {Shown} shown @param {HTMLElement} tip */
function showTip(plot, shown, tip) {
  const { left = -1 } = plot.cursor;
  const point = pointAt(plot, shown, left);
  tip.hidden = !point;
  if (!point) return;
  tip.replaceChildren(
    h('div', {}, spanText(point)),
    h('div', { class: 'muted' }, utc(point.from)),
    h('div', {}, h('b', {}, number(point.count)), ' clicks, net'),
    h('div', { class: 'muted' }, besideText(point)),
    h('div', { class: 'muted' }, `${number(point.duplicates)} duplicates, ${number(point.late)} late`),
    stateText(point.state, point),
  );
  const x = left + plot.over.offsetLeft;
  const shift = x > plot.width / 2 ? x - tip.offsetWidth - 14 : x + 14;
  tip.style.transform = `translate(${Math.round(shift)}px, 8px)`;
}

/** A minute is named by its beginning; a longer bar is named by its beginning and its end. @param {Bar} bar */
function spanText({ from, until }) {
  return until - from <= minuteMs ? local(from, 'day') : `${local(from, 'day')} – ${local(until, 'day')}`;
}

/** @param {readonly Bar[]} points */
function rowsOf(points) {
  return {
    columns: [
      ...['from', 'to', 'net', 'gross', 'invalid', 'duplicates', 'late', 'state'],
      ...['late clicks waiting', 'clicks of split ads waiting'],
    ],
    rows: points.map(({ from, until, count, gross, invalid, duplicates, late, state, pending_late, pending_split }) => [
      ...[from, until].map(ms => new Date(ms).toISOString()),
      ...[count, gross, invalid, duplicates, late, state, pending_late, pending_split],
    ]),
  };
}

/**
 * The bars as a table, for people who cannot see them. Its rows are made only while the table is open.
 * @param {() => readonly Bar[]} points
 */
function tableOf(points) {
  const body = h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The chart as a table' });
  const fill = () => {
    const rows = points().map(point =>
      h(
        'tr',
        {},
        h(
          'td',
          {},
          h(
            'button',
            { type: 'button', class: 'link', onclick: () => zoomTo(point.from, point.until) },
            h('time', { datetime: point.start, title: utc(point.from) }, spanText(point)),
          ),
        ),
        ...[point.count, point.gross, point.invalid, point.duplicates, point.late].map(value =>
          h('td', { class: 'num' }, number(value)),
        ),
        h('td', {}, stateMark(point.state, point)),
      ),
    );
    const heads = ['Time', 'Clicks, net', 'Gross', 'Invalid', 'Duplicates', 'Late', 'State'];
    const head = heads.map((text, i) => h('th', { scope: 'col', class: i > 0 && i < 6 ? 'num' : undefined }, text));
    body.replaceChildren(h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, rows.reverse())));
  };
  const details = h('details', { class: 'table' }, h('summary', {}, 'As a table'), body);
  const refresh = () => details.open && fill();
  details.addEventListener('toggle', refresh);
  return { element: details, refresh };
}

/** @param {readonly Bar[]} points */
function summaryOf(points) {
  const total = points.reduce((sum, point) => sum + point.count, 0);
  const most = points.reduce(
    (best, point) => (point.count > (best?.count ?? -1) ? point : best),
    /** @type {Bar | undefined} */ (undefined),
  );
  return `${number(total)} clicks${most ? `, the highest bar is ${local(most.start, 'day')} with ${number(most.count)}` : ''}`;
}
