/**
 * One random history of what is billed, on real tables: clicks, late ones, replays, reconciliations, erasures, merges and
 * job runners that die, in an order that a seed decides. After each of them it holds what must hold then.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { expect } from 'vitest';
import { donePartsOf } from '../../infra/clickhouse/erasing.ts';
import type { Click } from '../../ingest/click.ts';
import { noRules, type RulesAt, type ValidityRules } from '../../ingest/validity/rules.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import {
  ads,
  billedOf,
  clicksOf,
  end,
  hourMs,
  invalidIn,
  minuteAt,
  minuteMs,
  rulesOf,
  start,
  users,
} from './billed-clicks.ts';
import { createErasureLog, createStreams, type Node, openNodeSink } from './billed-nodes.ts';
import { openPipeline, range, type Shown } from './billed-pipeline.ts';
import { eventually } from './wait.ts';

export type History = Awaited<ReturnType<typeof openHistory>>;

/** Long because it says one thing after another that may happen. Each can be read on its own. */
export async function openHistory(seed: number, nodes: readonly [Node, Node], log: Logger) {
  const random = new SeededRandom(seed);
  const isErasing = seed % 4 !== 0;
  const rules = rulesOf(isErasing);
  const erasures = createErasureLog();
  const stack = new AsyncDisposableStack();
  const sinks = nodes.map(node => stack.use(openNodeSink(node, erasures.reader(), log)));
  const announced: RulesAt = minute => {
    const hour = Math.floor((minute - start) / hourMs);
    return hour < 1 ? noRules : { version: hour, rules: rules[hour - 1]! };
  };
  const streams = createStreams(announced, random);
  let rawPositions = streams.positions();
  const pipeline = stack.use(
    await openPipeline({ nodes, rules, erasures: erasures.reader(), rawPositions: () => rawPositions, log }),
  );
  const given = clicksOf(random);
  const late = [...given.late];
  const came: Click[] = [];
  const erased = new Set<string>();
  /** Minutes that a replay has judged by other rules. */
  const judged = new Map<number, ValidityRules>();
  const counted = new Map<string, number>();
  const marks: { readonly at: number; readonly shown: Record<string, Shown> }[] = [];

  /** Each node gets the same in other pieces, some of them twice, and none before what stands before it in the log. */
  const arrive = async (clicks: readonly Click[], appendedAt?: number) => {
    came.push(...clicks);
    const outputs = streams.count(clicks, appendedAt);
    if (appendedAt === undefined) outputs.push(...streams.tick(minuteAt(182)));
    for (const sink of sinks) await sink.insertRaw(random.shuffled(clicks));
    rawPositions = streams.positions();
    for (const sink of sinks) {
      const order = [...outputs];
      while (order.length > 0) await sink.insertOutputs(order.splice(0, random.between(1, 20)));
      await sink.insertOutputs(outputs.slice(0, 3));
    }
  };
  const billed = () => billedOf(came, minute => judged.get(minute) ?? announced(minute).rules);
  const isDoneIn = async ({ clickhouse }: Node, names: readonly string[]) => {
    const done = await donePartsOf(clickhouse);
    return names.every(name => done.has(name));
  };

  const happenings = {
    /** With persons who are erased in the middle of it, in a node that does not get on with it. */
    async 'late clicks'() {
      const clicks = late.shift() ?? [];
      const [first] = nodes;
      if (isErasing && random.chance(0.6)) {
        await first.clickhouse.command('SYSTEM STOP MERGES click_raw');
        await erase();
      }
      try {
        await arrive(clicks, minuteAt(183));
        await pipeline.quiet();
      } finally {
        await first.clickhouse.command('SYSTEM START MERGES click_raw');
      }
    },
    async erasure() {
      await erase();
      // Asked for twice, and again while it is under way.
      if (random.chance(0.5)) await erase([...erased]);
      if (random.chance(0.5)) await allErased();
    },
    async 'draft of rules'() {
      const job = await pipeline.job('replays', { from: start, to: end, rules: 3, apply: false });
      expect(job).toMatchObject({ state: 'done', apply: false });
    },
    async 'replay by other rules'() {
      const [from, to] = [minuteAt(30 * random.between(2, 3)), minuteAt(30 * random.between(4, 6))];
      const version = random.pick([2, 3]);
      const meanwhile = async () => {
        if (random.chance(0.4)) await erase();
        if (random.chance(0.5)) await pipeline.restartRunner();
      };
      const job = await pipeline.job('replays', { from, to, rules: version, apply: true }, meanwhile);
      expect(job).toMatchObject({ state: 'done' });
      for (let minute = from; minute < to; minute += minuteMs) judged.set(minute, rules[version - 1]!);
    },
    async replay() {
      const job = await pipeline.job('replays', { from: start, to: end, apply: true }, () =>
        random.chance(0.4) ? erase() : pipeline.restartRunner(),
      );
      expect(job).toMatchObject({ state: 'done' });
    },
    async reconciliation() {
      await reconciled();
    },
    async merge() {
      for (const { clickhouse } of nodes)
        for (const table of ['ad_minute', 'ad_minute_by_ad', 'restatement', 'recounted_minute', 'conservation_seal'])
          await clickhouse.command(`OPTIMIZE TABLE ${table} FINAL`);
    },
  };
  type Happening = keyof typeof happenings;

  const erase = async (who: readonly string[] = [random.pick(users), random.pick(users)]) => {
    if (!isErasing) return;
    erasures.erase([...new Set(who)], Date.now());
    for (const user of who) erased.add(user);
    for (const sink of random.shuffled(sinks)) {
      await sink.readToEnd();
      await sleep(random.between(0, 200));
    }
  };
  const allErased = async () => {
    for (const sink of sinks) await sink.readToEnd();
    for (const [i, node] of nodes.entries())
      await eventually(`erased in ${node.name}`, () => isDoneIn(node, sinks[i]!.book.names));
  };
  const reconciled = async () => {
    const job = await pipeline.job('reconciliations', { from: start, to: end });
    expect(job).toMatchObject({ state: 'done', result: { cells_differing: 0, invalid: { cells_differing: 0 } } });
  };
  const differences = async () =>
    (await pipeline.check()).findings
      .filter(({ difference }) => difference !== 0)
      .map(({ partition, outcome, difference }) => ({ partition, outcome, difference }));

  /** What was told at each moment is told of it still. */
  const remember = async () => {
    await sleep(5);
    marks.push({ at: Date.now(), shown: await pipeline.shown() });
    await sleep(5);
    for (const { at, shown } of new Set([marks[0]!, random.pick(marks), marks.at(-1)!]))
      expect(await pipeline.shown(`&as_of=${at}`)).toEqual(shown);
  };
  /** What is billed has changed by what its restatements say, and by nothing else. */
  const told = async () => {
    const now = await pipeline.shown();
    for (const ad of ads) {
      const { total, restatements } = await pipeline.get(`/v1/ads/${ad}/restatements?${range}&limit=1000`);
      const added = (restatements as { before_net: number; after_net: number }[]).reduce(
        (sum, { before_net, after_net }) => sum + after_net - before_net,
        0,
      );
      expect([ad, added]).toEqual([ad, total.added_net]);
      // What the streams had counted, before the first restatement.
      const before = counted.get(ad) ?? now[ad]!.net - added;
      counted.set(ad, before);
      expect([ad, before + added]).toEqual([ad, now[ad]?.net]);
      expect([ad, now[ad]?.gross]).toEqual([ad, now[ad]!.duplicates + now[ad]!.invalid + now[ad]!.net]);
    }
  };

  return {
    ...{ random, pipeline, nodes, marks, erased, came, sinks, isErasing },
    ...{ billed, allErased, reconciled, differences, remember, told, arrive },
    /** The clicks that come in time, and what is told then. */
    async begin() {
      await arrive(given.inTime);
      await pipeline.quiet();
      await remember();
      await told();
    },
    /** In a random order, with all late clicks. */
    happenings(): Happening[] {
      const others = Object.keys(happenings).filter(name => name !== 'late clicks') as Happening[];
      return random.shuffled([...given.late.map(() => 'late clicks' as const), ...random.shuffled(others).slice(0, 3)]);
    },
    happen: (name: Happening) => happenings[name](),
    /** Net and invalid clicks, of each cell, by which an invoice could be made. */
    expected: () => [...billed()].map(([key, of]) => `${key} ${of.clicks} ${invalidIn(of)}`).sort(),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}
