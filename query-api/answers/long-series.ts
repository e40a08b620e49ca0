/**
 * Writes long series as JSON a few points at a time. One of 31 days by the minute is 7 MB, whose JSON takes tens of
 * milliseconds, in which no other client would be answered.
 */
import { Type } from 'typebox';
import type { Http } from '../../infra/http.ts';
import { givingWay, type Slices } from '../../infra/slices.ts';
import { SeriesPoint } from './series-points.ts';

const routes = ['/v1/ads/:ad_id/series', '/v1/ads/series'];
const PointList = Type.Array(SeriesPoint);

export function serializeLongSeries(http: Http): void {
  http.addHook('preSerialization', async (request, reply, payload) => {
    const isSeries = routes.includes(request.routeOptions.url ?? '');
    if (!isSeries || reply.statusCode !== 200 || !isObject(payload)) return payload;
    const lists = listsOf(payload);
    if (lists.every(points => points.length <= pointsInSlice)) return payload;
    const serializeWhole = reply.getSerializationFunction('200');
    const serializePoints = reply.compileSerializationSchema(PointList as unknown as Record<string, unknown>);
    if (serializeWhole === undefined) return payload;
    const frame = serializeWhole(withoutPoints(payload));
    const text = await givingWay(joined(frame, lists, points => serializePoints(points as unknown as Answer)));
    reply.serializer((whole: string) => whole);
    return text;
  });
}

/** Puts the lists where the frame has empty ones. A text in it cannot contain this, because its quotes are escaped. */
function* joined(frame: string, lists: readonly Points[], serialize: (points: Points) => string): Slices<string> {
  const [first = '', ...pieces] = frame.split(emptyPoints);
  if (pieces.length !== lists.length) throw new Error(`${pieces.length} places for ${lists.length} series`);
  let text = first;
  for (const [i, points] of lists.entries()) {
    text += '"points":[';
    for (let at = 0; at < points.length; at += pointsInSlice) {
      text += `${at === 0 ? '' : ','}${serialize(points.slice(at, at + pointsInSlice)).slice(1, -1)}`;
      yield;
    }
    text += `]${pieces[i]}`;
  }
  return text;
}

const emptyPoints = '"points":[]';
const pointsInSlice = 500;

type Points = readonly unknown[];
type Answer = Readonly<Record<string, unknown>>;

/** In the order in which they are written. */
function listsOf(answer: Answer): readonly Points[] {
  const points = answer['points'];
  return Array.isArray(points) ? [points] : seriesOf(answer).flatMap(listsOf);
}

function withoutPoints(answer: Answer): Answer {
  if (Array.isArray(answer['points'])) return { ...answer, points: [] };
  return { ...answer, series: seriesOf(answer).map(withoutPoints) };
}

function seriesOf(answer: Answer): readonly Answer[] {
  const series = answer['series'];
  return Array.isArray(series) ? series.filter(isObject) : [];
}

function isObject(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null;
}
