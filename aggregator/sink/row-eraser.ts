/**
 * Erases persons from the rows that a ClickHouse node has, and says in the node when none is left.
 *
 * It goes by what is there and not by what was done: it looks for rows of persons who are erased, changes them, and looks
 * again. So it may be killed at any point, and does not care how a row has come. A node that is filled again, or whose
 * directory was replaced by that of another node, is looked at like any other.
 *
 * New rows come in erased (erased-rows.ts). But another process that fills this node may know of an erasure later, and
 * may insert meanwhile. So an erasure is done only when a look finds nothing that has begun `settleMs` after it became
 * known here: by then no insert is under way that does not know of it. Besides, each hour all days are looked at in
 * which rows were inserted or merged.
 */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import {
  changedSlices,
  donePartsOf,
  dropReplacedFilters,
  type Erasing,
  type ErasingRules,
  eraseClicks,
  linesLeft,
  openChanges,
  rewriteLines,
  rowsLeft,
} from '../../infra/clickhouse/erasing.ts';
import { timeOf } from '../../infra/clickhouse/node-time.ts';
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { pause } from '../../infra/pause.ts';
import { repeatedly } from '../../infra/repeatedly.ts';
import type { ErasedForm, ErasureBook } from '../../ingest/privacy/erasure-book.ts';
import { formPrefix } from '../../ingest/privacy/erasure-record.ts';
import { erasedLine, removedFields } from './erased-rows.ts';
import { erasureDelay } from './metrics.ts';

export interface RowEraserDeps {
  readonly clickhouse: ClickHouse;
  readonly book: ErasureBook;
  /** The name of the ClickHouse node. */
  readonly node: string;
  readonly settleMs: number;
  readonly lookEveryMs?: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Begins at once, and goes on until it is disposed of. */
export function openRowEraser(deps: RowEraserDeps): AsyncDisposable {
  const { node, log, now } = deps;
  const closing = new AbortController();
  const known = new KnownParts(deps);
  erasureDelay.set({ node }, 0);
  return repeatedly(async signal => {
    try {
      await turn(deps, known, signal);
    } catch (error) {
      known.forget();
      if (!signal.aborted) log.warn({ node, why: messageOf(error) }, 'erasing goes on later');
    }
    erasureDelay.set({ node }, known.delayMs(now()) / 1_000);
    return pauseMs;
  }, closing);
}

async function turn(deps: RowEraserDeps, known: KnownParts, signal: AbortSignal): Promise<void> {
  const { clickhouse, book, node, now, log, lookEveryMs = hourMs } = deps;
  if (book.version === 0) return;
  const { settled, fresh } = await known.pending();
  const beganAt = now();
  if (settled.length + fresh.length > 0) {
    const pending = new Set([...settled, ...fresh]);
    const changed = await cleaned(deps, pending, 0, signal);
    known.looked(fresh);
    // What was changed just now shows that rows had come after the first look.
    if (settled.length > 0) {
      await dropReplacedFilters(clickhouse);
      await known.done(settled, beganAt);
    }
    log.info({ node, parts: pending.size, done: settled.length, changed }, 'persons erased');
    return;
  }
  if (!known.isLookDue) return;
  // By the clock of the node, which has dated its rows too: ours may differ from it by more than any margin.
  const lookAt = await timeOf(clickhouse);
  const sinceMs = lookAt - (known.lookedAt ?? 0);
  if (sinceMs >= 0 && sinceMs < lookEveryMs) return known.lookAfter(lookEveryMs - sinceMs);
  // Where its clock was put back, nobody knows what has come since.
  const since = sinceMs < 0 ? 0 : lookAt - sinceMs - lookMarginMs;
  const changed = await cleaned(deps, new Set(book.names), since, signal);
  // A filter that was stored in the moment of an erasure is replaced later.
  await dropReplacedFilters(clickhouse);
  if (changed > 0) log.warn({ node, changed }, 'rows of erased persons had come back, and were erased again');
  await known.done([''], lookAt);
  known.lookAfter(lookEveryMs);
}

/** Which parts of erasures are done in the node. */
class KnownParts {
  readonly #deps: RowEraserDeps;
  /** When each part became known here, by a clock that only goes on. */
  readonly #since = new Map<string, number>();
  readonly #lookedOnce = new Set<string>();
  #done: Map<string, number> | undefined;
  /** On the monotonic clock. */
  #lookAtMs = 0;

  constructor(deps: RowEraserDeps) {
    this.#deps = deps;
  }

  /** Whether to ask the node for its time, and then to look for rows that have come back. */
  get isLookDue(): boolean {
    return performance.now() >= this.#lookAtMs;
  }

  lookAfter(ms: number): void {
    this.#lookAtMs = performance.now() + ms;
  }

  /** When the node was last looked at for rows that have come back, by its own clock, in epoch ms. */
  get lookedAt(): number | undefined {
    return this.#done?.get('');
  }

  /** `settled`: what is found now decides. `fresh`: was never looked for. Others wait. */
  async pending(): Promise<{ readonly settled: string[]; readonly fresh: string[] }> {
    const { book, clickhouse, settleMs } = this.#deps;
    const { names } = book;
    const at = performance.now();
    for (const name of names) if (!this.#since.has(name)) this.#since.set(name, at);
    this.#done ??= await donePartsOf(clickhouse);
    const open = names.filter(name => !this.#done?.has(name));
    const isSettled = (name: string) => at - (this.#since.get(name) ?? at) >= settleMs;
    return {
      settled: open.filter(isSettled),
      fresh: open.filter(name => !isSettled(name) && !this.#lookedOnce.has(name)),
    };
  }

  looked(names: readonly string[]): void {
    for (const name of names) this.#lookedOnce.add(name);
  }

  async done(names: readonly string[], at: number): Promise<void> {
    const rows = names.map(part => JSON.stringify({ part, at }));
    await this.#deps.clickhouse.insert('erasure_done', rows.join('\n'));
    for (const name of names) this.#done?.set(name, at);
  }

  /** The node is asked again: it may be another one by now. */
  forget(): void {
    this.#done = undefined;
    this.#lookAtMs = 0;
  }

  /** For how long the oldest part that is not done has been known to the log. */
  delayMs(now: number): number {
    const { book } = this.#deps;
    const open = book.names.filter(name => !this.#done?.has(name));
    return Math.max(0, ...open.map(name => now - book.atOf(name)));
  }
}

/** Returns how many rows were changed, once none is left. @throws Retryable when some keep coming */
async function cleaned(
  deps: RowEraserDeps,
  names: ReadonlySet<string>,
  since: number,
  signal: AbortSignal,
): Promise<number> {
  const { book } = deps;
  let changed = 0;
  for (const texts of chunks(book.formsOf(names))) changed += await cleanedOf(deps, { texts, rules }, since, signal);
  return changed;
}

async function cleanedOf(deps: RowEraserDeps, erasing: Erasing, since: number, signal: AbortSignal): Promise<number> {
  const { clickhouse, book, node } = deps;
  let changed = 0;
  for (let look = 0; look < mostLooks; look++) {
    await untilChanged(deps, signal);
    const left = await found(clickhouse, erasing, since, signal);
    if (left.clicks + left.lines === 0) return changed;
    changed += left.clicks;
    if (left.clicks > 0) await eraseClicks(clickhouse, erasing);
    for (let rest = left.lines; rest > 0; ) {
      const lines = await linesLeft(clickhouse, erasing, linesAtOnce);
      const rewritten = lines.flatMap(line => ({ ...line, ...erasedLine(line, book) }));
      if (rewritten.length === 0) break;
      await rewriteLines(clickhouse, rewritten);
      await untilChanged(deps, signal);
      changed += rewritten.length;
      rest -= rewritten.length;
    }
  }
  throw new Retryable(`${node}: rows of erased persons are left after ${mostLooks} looks`);
}

async function found(clickhouse: ClickHouse, erasing: Erasing, since: number, signal: AbortSignal) {
  const left = { clicks: 0, lines: 0 };
  for (const table of ['click_raw', 'quarantine'] as const)
    for (const slice of await changedSlices(clickhouse, table, since)) {
      signal.throwIfAborted();
      left[table === 'click_raw' ? 'clicks' : 'lines'] += await rowsLeft(clickhouse, slice, erasing);
    }
  return left;
}

/** Waits for changes of rows that are under way, also those that a process has begun which is dead now. */
async function untilChanged({ clickhouse, node, log }: RowEraserDeps, signal: AbortSignal): Promise<void> {
  let told = '';
  for (let waitMs = 50; ; waitMs = Math.min(2 * waitMs, 2_000)) {
    signal.throwIfAborted();
    const { n, why } = await openChanges(clickhouse);
    if (n === 0) return;
    if (why !== '' && why !== told) log.warn({ node, why }, 'ClickHouse does not succeed in erasing rows');
    told = why;
    await pause(waitMs, signal);
  }
}

/** No text is in a chunk twice: who was erased twice has two tokens, of two times. */
function* chunks(forms: readonly ErasedForm[]): Generator<ErasedForm[]> {
  let chunk = new Map<string, ErasedForm>();
  for (const form of forms) {
    if (chunk.size >= formsAtOnce || chunk.has(form.form)) {
      yield [...chunk.values()];
      chunk = new Map();
    }
    chunk.set(form.form, form);
  }
  if (chunk.size > 0) yield [...chunk.values()];
}

const rules: ErasingRules = { prefix: formPrefix, removed: removedFields };

const pauseMs = 500;
const hourMs = 3_600_000;
/** The clock of the node may be put back a little, and rows become visible a little after their time. */
const lookMarginMs = 600_000;
const formsAtOnce = 5_000;
const linesAtOnce = 200;
const mostLooks = 5;
