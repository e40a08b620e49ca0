/**
 * Named places in the processes at which a fault bench can end or stop them: `kill -9`, SIGSTOP, or an error in place of
 * an answer. They are written into the files while those are loaded (preload.ts); nothing of this is in the shipped
 * code. The text each hangs on must be there exactly once: whoever changes that code is told to bring it along.
 */
import type { SourceEdit } from '../mutations/mutations.ts';

export type Role = 'ingest' | 'aggregator' | 'sink' | 'query-api' | 'jobs';

/** kill: SIGKILL to itself; stop: SIGSTOP; fail: an error is thrown there, as if the answer had been lost. */
export type Action = 'kill' | 'stop' | 'fail';

export interface StepPoint extends SourceEdit {
  readonly role: Role;
  /** Only those where an error means a lost answer, and nothing else, can `fail`. */
  readonly actions: readonly Action[];
}

const rolesByPrefix: Readonly<Record<string, Role>> = {
  ...{ ingest: 'ingest', aggregator: 'aggregator', sink: 'sink', jobs: 'jobs', restatement: 'jobs' },
};

const killOrStop: readonly Action[] = ['kill', 'stop'];

const task = 'aggregator/task.ts';
const ticks = 'aggregator/idle-ticks.ts';
const writer = 'infra/kafka/transactional-producer.ts';
const inserter = 'aggregator/sink/batch-inserter.ts';
const retryingInsert = 'aggregator/sink/retrying-insert.ts';
const clickLog = 'ingest/click-log.ts';
const term = 'query-api/jobs/runner/term.ts';
const fencing = 'const log = opening.use(await deps.openLog());';
const announcing = "await log.write([{ kind: 'job-runner', rows: [row] }]);";
const jobWriter = 'query-api/jobs/writing/job-writer.ts';
const spool = 'ingest/spool/spool.ts';
const spoolFiles = 'ingest/spool/spool-files.ts';
const saving = "await log.write([...said, { kind: 'job', rows: [jobRowOf(job)] }]);";

export const stepPoints: readonly StepPoint[] = [
  before('ingest: before produce', clickLog, 'batch = this.#buffer.take(number);'),
  during('ingest: sent, not acknowledged', clickLog, 'batch = this.#buffer.take(number);'),
  before('ingest: acknowledged, not answered', clickLog, "sends.inc({ outcome: 'acknowledged' });"),

  before(
    'aggregator: assigned',
    'aggregator/task-group.ts',
    'assignTasks(deps, new Set(assigned.get(topic) ?? []), shared);',
  ),
  before('aggregator: before fence', task, 'this.#writer = await this.#ports.openWriter();'),
  before(
    'aggregator: in the fence',
    writer,
    'return producerOf(requests, { transactionalId, ...identity }, limits.patienceMs);',
  ),
  after('aggregator: fenced, nothing fetched', task, 'this.#writer = await this.#ports.openWriter();'),
  after(
    'aggregator: fetched, nothing read',
    task,
    'const checkpoint = startingCheckpoint(committed, range, this.#settings.withoutCommit);',
  ),
  before(
    'aggregator: in the restore',
    task,
    'aggregator.process(offset, timestamp, bytes, valueStart, valueEnd, acksOf(headers));',
    "this.#state === 'restoring'",
  ),
  before('aggregator: read again, not yet counting', task, 'aggregator.endRestore();'),
  before('aggregator: counted, nothing sent', task, 'const output = aggregator.drain();'),
  before('aggregator: commit begun', writer, 'await write(content);'),
  before(
    'aggregator: rows sent, no offset',
    writer,
    'await patiently(untilMs, () => requests.addOffsets(identity, group));',
  ),
  before('aggregator: offset sent, not committed', writer, "await requests.endTransaction(identity, 'commit');"),
  during('aggregator: commit sent, no answer', writer, "await requests.endTransaction(identity, 'commit');"),
  after('aggregator: committed, not noted', writer, "await requests.endTransaction(identity, 'commit');"),
  before('aggregator: before a tick', ticks, 'await append();'),
  after('aggregator: after a tick', ticks, 'await append();'),

  before('sink: before insert', retryingInsert, 'await clickhouse.insert(table, ndjson, columns);'),
  during('sink: in the insert', retryingInsert, 'await clickhouse.insert(table, ndjson, columns);'),
  {
    ...after('sink: inserted, not known', retryingInsert, 'await clickhouse.insert(table, ndjson, columns);'),
    actions: ['kill', 'stop', 'fail'],
  },
  before('sink: inserted, offset not committed', inserter, 'await this.#commitAll(taken);'),
  after('sink: offset committed', inserter, 'await this.#commitAll(taken);'),

  before('jobs: has the lease, before fence', term, fencing),
  after('jobs: fenced, not announced', term, fencing),
  during('jobs: announcing its term', term, announcing),
  after('jobs: announced, not shown', term, announcing),
  before('jobs: its term is shown, nothing read', term, 'const failed = new AbortController();'),

  before('restatement: nothing said', jobWriter, saving),
  during('restatement: in the transaction', jobWriter, saving),
  after('restatement: committed, not noted', jobWriter, saving),
];

/** Of clicks that wait on a disk for Kafka. The bench posts clicks, which never do; click-links.test.ts reaches them. */
export const spoolPoints: readonly StepPoint[] = [
  before('ingest: spool, nothing written', spoolFiles, 'await file.append(Buffer.concat(batch.records));'),
  before('ingest: spool written, not synced', spoolFiles, 'await file.sync();'),
  after('ingest: spool synced, not answered', spoolFiles, 'await file.sync();'),
  during('ingest: spool being sent', spool, 'await send(clicks);'),
  before('ingest: spool sent, not removed', spool, 'await files.remove(name);'),
  after('ingest: spool removed', spool, 'await files.remove(name);'),
];

export function stepPointNamed(name: string): StepPoint {
  const found = [...stepPoints, ...spoolPoints].find(point => point.name === name);
  if (found === undefined) throw new Error(`CRASH_AT=${name}: there is no such step-point`);
  return found;
}

function before(name: string, file: string, anchor: string, condition = 'true'): StepPoint {
  return point(name, file, anchor, `if (${condition}) ${call(name)} ${anchor}`);
}

function after(name: string, file: string, anchor: string): StepPoint {
  return point(name, file, anchor, `${anchor} ${call(name)}`);
}

/** A ms after the call has been made: its request is on the way, the answer perhaps not yet. */
function during(name: string, file: string, anchor: string): StepPoint {
  return point(name, file, anchor, `setTimeout(() => { ${call(name)} }, 1); ${anchor}`);
}

function call(name: string): string {
  return `globalThis.reachStepPoint?.(${JSON.stringify(name)});`;
}

function point(name: string, file: string, anchor: string, replacement: string): StepPoint {
  const role = rolesByPrefix[name.split(':')[0] ?? ''] ?? 'query-api';
  return { name, file, edits: [[anchor, replacement]], role, actions: killOrStop };
}
