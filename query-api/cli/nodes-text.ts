/** Writes the ClickHouse nodes as text for people. Pure. */
import type { AnswerOf } from '../client/client.ts';
import { counted, type Style, shortDuration, shortTime } from './style.ts';
import { textTable } from './text-table.ts';

/** Empty if there is only one node. */
export function nodesText(
  { nodes, replicas }: Pick<AnswerOf<'getStatus'>, 'nodes' | 'replicas'>,
  style: Style,
): string {
  if (nodes.length < 2) return '';
  const isWell = (state: string) => state === 'reading' || state === 'ready';
  const topics = [...new Set(nodes.flatMap(node => node.topics.map(({ topic }) => topic)))];
  const columns = [
    ...['node', 'shard', 'state', 'since'].map(title => ({ title })),
    { title: 'lag', isNumber: true },
    ...topics.map(topic => ({ title: `${topic}, unread`, isNumber: true })),
    { title: 'why' },
  ];
  const rows = nodes.map(({ node, shard, state, since, why, lag_ms, topics: own }) => [
    ...[node, `${shard}`, isWell(state) ? style.good(state) : style.bad(state), shortTime(since)],
    lag_ms === null ? '?' : shortDuration(lag_ms),
    ...topics.map(topic => {
      const at = own.find(each => each.topic === topic);
      return at === undefined ? '-' : `${style.count(at.position)}, ${style.count(at.lag_records)}`;
    }),
    why ?? '',
  ]);
  return `${textTable(columns, rows)}${comparedText(replicas, style)}`;
}

function comparedText(replicas: AnswerOf<'getStatus'>['replicas'], style: Style): string {
  if (replicas === null) return '';
  const { checked_at, differences } = replicas;
  if (checked_at === null) return 'replicas not compared yet\n';
  const verdict = differences === 0 ? style.good('equal') : style.bad(`DIFFER in ${counted(differences, 'hour')}`);
  return `replicas ${verdict}, compared ${shortTime(checked_at)}\n`;
}
