/** What the recommended rules find in traffic of which it is known what is invalid (aggregator/README.md shows the table). */
import { beforeAll, describe, expect, it } from 'vitest';
import type { InvalidBy } from '../../../aggregator/ad-minute.ts';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { type InvalidReason, recommendedRules } from '../../../ingest/validity/rules.ts';
import { minute0, ndjson } from '../../support/clicks.ts';
import { type Group, labelledTraffic } from '../../support/labelled-traffic.ts';
import { rowsOf } from '../../support/outputs.ts';

const minutes = 5;

/** What the core finds in clicks, by reason. */
function foundIn(clicks: Group['clicks']): Record<string, number> {
  const rulesAt = () => ({ version: 1, rules: recommendedRules });
  const settings = { partition: 0, outOfOrdernessMs: 15_000, allowedLatenessMs: 600_000, hashSeed: 3, rulesAt };
  const aggregator = new PartitionAggregator(settings, freshCheckpoint(0));
  aggregator.process(0, minute0 + minutes * 60_000, ndjson(...clicks.map(({ click }) => click)));
  const sums: Record<string, number> = {};
  const add = (by: InvalidBy) => {
    for (const [reason, n] of Object.entries(by)) sums[reason] = (sums[reason] ?? 0) + n;
  };
  for (const row of rowsOf(aggregator.drain())) add(row.invalid_by);
  return sums;
}

const sumOf = (by: Record<string, number>) => Object.values(by).reduce((sum, n) => sum + n, 0);
const invalidIn = ({ clicks }: Group) => clicks.filter(({ isInvalid }) => isInvalid).length;

let groups: readonly Group[];
let found: ReadonlyMap<string, Record<string, number>>;
/** No two groups share a person or an address, so each can be looked at alone. */
beforeAll(() => {
  groups = labelledTraffic(1, minute0, minutes);
  found = new Map(groups.map(group => [group.name, foundIn(group.clicks)]));
  if (process.env['SHOW_TABLE']) console.log(tableOf());
});

/** For people: what README shows. */
function tableOf(): string {
  return groups
    .map(({ name, clicks }, i) => {
      const by = found.get(name) ?? {};
      const reasons = Object.entries(by).map(([reason, n]) => `\`${reason}\` ${n}`);
      const [invalid, n] = [invalidIn(groups[i]!), sumOf(by)];
      const lost = Math.max(0, n - invalid);
      const share = invalid === 0 ? '' : `${((100 * Math.min(n, invalid)) / invalid).toFixed(0)} %`;
      return `| ${name} | ${clicks.length} | ${invalid} | ${reasons.join(', ') || 'none'} | ${share} | ${lost} |`;
    })
    .join('\n');
}

/** Of the clicks that a rule finds, and of those that it is for. */
function qualityOf(reason: InvalidReason, isFor: readonly string[]) {
  const all = groups.map(group => ({ group, n: found.get(group.name)?.[reason] ?? 0 }));
  const right = all.reduce((sum, { group, n }) => sum + Math.min(n, invalidIn(group)), 0);
  const wanted = groups.filter(({ name }) => isFor.includes(name)).reduce((sum, group) => sum + invalidIn(group), 0);
  return { precision: right / all.reduce((sum, { n }) => sum + n, 0), recall: right / wanted };
}

describe('the recommended rules', () => {
  it('find in all traffic together what they find in each group', () => {
    const together = foundIn(groups.flatMap(({ clicks }) => clicks));
    const apart: Record<string, number> = {};
    for (const by of found.values())
      for (const [reason, n] of Object.entries(by)) apart[reason] = (apart[reason] ?? 0) + n;
    expect(together).toEqual(apart);
  });

  it.each([
    ['known_bot', ['crawlers that say so'], 1, 1],
    ['datacentre', ['farms in data centres'], 1, 0.75],
    ['prefetch', ['programs that load links beforehand'], 1, 0.65],
    ['double_click', ['people who double-click'], 0.25, 0.85],
    ['user_velocity', ['scripts of one person each'], 1, 0.15],
    ['address_velocity', ['a click farm behind one address'], 1, 0.55],
  ] as const)(
    'of %s find %j with a precision of at least %d and a recall of at least %d',
    (reason, isFor, precision, recall) => {
      const quality = qualityOf(reason, isFor);
      expect(quality.precision).toBeGreaterThanOrEqual(precision);
      expect(quality.recall).toBeGreaterThanOrEqual(recall);
    },
  );

  it('take no click from 500 people behind one address for their number, and none at all from those with user ids or at home', () => {
    expect(found.get('500 people behind one address, with user ids')).toEqual({});
    const alike = found.get('500 people behind one address, without user ids') ?? {};
    expect(Object.keys(alike)).toEqual(['double_click']);
    expect(sumOf(found.get('people at home') ?? {})).toBeLessThanOrEqual(5);
  });
});
