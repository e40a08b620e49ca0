/** Writes a live event as one line, and each restatement in it as another. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { waitingTexts } from './answers-text.ts';
import { type Style, shortDuration, shortTime } from './style.ts';

export function liveText(event: AnswerOf<'listen'>, style: Style): string {
  const { at, tenant, kafka, clicks_per_second, lag_records, watermark_age_ms, totals, stalled, current, changes } =
    event;
  const top = current.ads.slice(0, 3).map(({ ad_id, count }) => `${ad_id} ${style.count(count)}`);
  const line = [
    shortTime(at),
    `${style.count(Math.round(clicks_per_second))}/s`,
    ...(totals === null ? [] : [`${style.count(totals.counted)} counted`]),
    ...(totals === null || totals.invalid === 0 ? [] : [`${style.count(totals.invalid)} invalid`]),
    ...(kafka === 'away' || (lag_records === null && tenant === null) ? [style.bad('Kafka does not answer')] : []),
    ...(lag_records === null ? [] : [`${style.count(lag_records)} unread`]),
    `watermark age ${shortDuration(watermark_age_ms)}`,
    ...stalled.map(({ partition, since }) => style.bad(`partition ${partition} NOT COUNTED since ${shortTime(since)}`)),
    ...waitingTexts(event, style),
    top.length === 0 ? 'no clicks in this minute' : `top ${top.join(', ')}`,
  ].join('  ');
  const restated = changes.map(({ minute, ad_id, country, before_net, after_net, reason, job }) => {
    const change = `${shortTime(minute)} ${ad_id} ${country}: ${style.count(before_net)} → ${style.count(after_net)}`;
    return `${shortTime(at)}  ${style.state('restated')}  ${change} (${reason}, job ${job})\n`;
  });
  return `${line}\n${restated.join('')}`;
}
