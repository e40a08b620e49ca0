/**
 * The adversary: bugs that this kind of pipeline has had elsewhere, each as a change of one file's text, made while the
 * file is loaded. Nothing of this is in the shipped code. The text to be replaced must be there, exactly once: whoever
 * changes that code is told to bring its mutation along.
 */
export interface Mutation extends SourceEdit {
  /** What somebody might do, and why it is wrong. */
  readonly bug: string;
  /** An integration test that must notice; otherwise the simulation must, or a unit test. */
  readonly integration?: string;
  /** Unit tests that must notice, where the aggregator's and the simulation have no part in it. */
  readonly unit?: string;
}

/** A change of one file's text. */
export interface SourceEdit {
  readonly name: string;
  /** Relative to the root. */
  readonly file: string;
  readonly edits: readonly (readonly [find: string, replacement: string])[];
}

const core = 'aggregator/core/partition-aggregator.ts';

export const mutations: readonly Mutation[] = [
  {
    name: 'sink-commits-first',
    bug: 'the sink commits offsets before it inserts: a crash in between loses rows',
    file: 'aggregator/sink/batch-inserter.ts',
    edits: [
      [
        'await insertAll(taken);\n      await commitAll(taken);',
        'await commitAll(taken);\n      await insertAll(taken);',
      ],
    ],
  },
  {
    name: 'fetch-before-fence',
    bug: 'the committed offset is read before the former owner is fenced, whose commit may still arrive',
    file: 'aggregator/task.ts',
    edits: [
      [
        'this.#writer = await this.#ports.openWriter();\n    const [committed, range] = [await this.#ports.committed(), await this.#ports.range()];',
        'const [committed, range] = [await this.#ports.committed(), await this.#ports.range()];\n    this.#writer = await this.#ports.openWriter();',
      ],
    ],
  },
  {
    name: 'id-per-process',
    bug: 'transactional ids belong to processes instead of partitions: a zombie is not fenced',
    file: 'aggregator/task-group.ts',
    edits: [
      [
        '{ kafka, names, config, partitionsAt }: TaskGroupDeps',
        '{ kafka, names, config, partitionsAt, hashSeed }: TaskGroupDeps',
      ],
      ['names.transactionalId(partition))', "names.transactionalId(partition) + '-' + hashSeed)"],
    ],
  },
  {
    name: 'commit-repeated',
    bug: 'a commit of unknown outcome is repeated with another producer',
    file: 'infra/kafka/transactional-producer.ts',
    edits: [
      [
        '} catch (error) {\n        throw new Fenced(',
        '} catch (error) {\n        return await (await openTransactionalProducer(kafka, transactionalId)).commit(content);\n        throw new Fenced(',
      ],
    ],
  },
  {
    name: 'restore-from-too-high',
    bug: 'the checkpoint begins one record behind the first click it needs',
    file: core,
    edits: [['restoreFrom = window.firstOffset;', 'restoreFrom = window.firstOffset + 1;']],
  },
  {
    name: 'watermark-by-clock',
    bug: 'every record moves the watermark by the clock, not by its event times',
    file: core,
    edits: [['if (reader.lineIndex === -1) {', '{']],
  },
  {
    name: 'watermark-by-batch',
    bug: 'times are taken from the batch: other batch borders, other results',
    file: 'aggregator/task.ts',
    edits: [
      [
        'aggregator.step(offset, timestamp, ',
        'aggregator.step(offset, [...batch.records].at(-1)?.timestamp ?? timestamp, ',
      ],
    ],
  },
  {
    name: 'watermark-ahead',
    bug: 'a wrong clock moves the watermark beyond the append time',
    file: 'aggregator/core/watermark.ts',
    edits: [['Math.min(eventTime, appendedAt)', 'eventTime']],
  },
  {
    name: 'late-dropped',
    bug: 'clicks that are too late are dropped instead of being kept in quarantine',
    file: core,
    edits: [["this.#refuse('too_late', 'the minute of clicked_at is final', i);", ';']],
  },
  {
    name: 'dedup-by-ad',
    bug: 'duplicates are told by the ad: its second click is lost',
    file: 'aggregator/core/click-group.ts',
    edits: [['reader.eventIdStart, reader.eventIdEnd, this', 'reader.adIdStart, reader.adIdEnd, this']],
  },
  {
    name: 'dedup-per-ad',
    bug: 'duplicates are told by event and ad: a copy under another ad counts again',
    file: 'aggregator/core/click-group.ts',
    edits: [['reader.eventIdStart, reader.eventIdEnd, this', 'reader.eventIdStart, reader.adIdEnd, this']],
  },
  {
    name: 'spare-not-cleared',
    bug: 'a new window takes over the ids of the one before it: a click whose id comes again much later is lost',
    file: 'aggregator/core/spare-tables.ts',
    edits: [['spare.ids.clear();', '']],
  },
  {
    name: 'increments',
    bug: 'rows carry what has been added, not what there is: a repeated row cannot replace itself',
    file: 'aggregator/core/cell-table.ts',
    edits: [['name >>> 16, cell);', 'name >>> 16, cell);\n      this.#cells[at + clicksWord] = 0;']],
  },
  {
    name: 'replay-adds',
    bug: 'a replay adds what it has counted to what was stated',
    file: 'aggregator/replay/cell-change.ts',
    edits: [
      ['{ partition, clicks: after, duplicates, late }', '{ partition, clicks: before + after, duplicates, late }'],
    ],
  },
  {
    name: 'replay-loses-to-live',
    bug: 'a restated row has no higher version than the live one: it does not replace it',
    file: 'aggregator/replay/cell-change.ts',
    edits: [['revision: 1 + Math.max(0,', 'revision: Math.max(0,']],
  },
  {
    name: 'stale-row-wins',
    bug: 'versions fall as the log grows: the older row replaces the newer',
    file: 'aggregator/core/row-writer.ts',
    edits: [
      [
        'write(window: ClickWindow, version: number): void {',
        'write(window: ClickWindow, version: number): void {\n    version = 2 ** 40 - version;',
      ],
    ],
  },
  {
    name: 'aggregate-skipped',
    bug: 'rows that come with quarantined lines are left out: raw has clicks that are not counted',
    file: 'aggregator/transaction.ts',
    edits: [
      ['const rows = output.rowChunks.map', 'const rows = output.rowChunks.slice(output.quarantined.length).map'],
    ],
  },
  {
    name: 'one-table-skipped',
    bug: 'the sink forgets a table',
    file: 'aggregator/sink/aggregate-rows.ts',
    edits: [["['ad_minute', adMinute]", "['ad_minute', []]"]],
  },
  {
    name: 'read-without-final',
    bug: 'a query sums all versions of a row',
    file: 'query-api/queries.ts',
    edits: [
      ['SELECT ad_id, sum(clicks) AS count FROM ad_minute FINAL', 'SELECT ad_id, sum(clicks) AS count FROM ad_minute'],
    ],
    integration: 'test/integration/clickhouse/queries.test.ts',
  },
  {
    name: 'restored-watermark-left-out',
    bug: 'a restore begins without the watermark of its first record, and takes in what was too late',
    file: core,
    edits: [['settings.outOfOrdernessMs, from.watermarkAtRestoreFrom', 'settings.outOfOrdernessMs, 0']],
  },
  {
    name: 'progress-first-in-transaction',
    bug: 'progress is written before the rows it promises',
    file: 'aggregator/transaction.ts',
    edits: [['[...rows, progress]', '[progress, ...rows]']],
  },
  {
    name: 'progress-inserted-first',
    bug: 'the sink inserts progress before the rows it promises',
    file: 'aggregator/sink/aggregate-rows.ts',
    edits: [
      ["\n      ['partition_progress', progress],", ''],
      ['rows: new Map([\n', "rows: new Map([\n      ['partition_progress', progress],\n"],
    ],
  },
  {
    name: 'stale-batch-taken',
    bug: 'a batch fetched before a seek is taken: what lies between is skipped',
    file: 'aggregator/task.ts',
    edits: [['if (batch.fetchedOffset !== aggregator.position) {', 'if (batch.nextOffset <= aggregator.position) {']],
  },
  {
    name: 'begun-before-it-reads',
    bug: 'a start that fails at its last step leaves a task that counts, has no writer, and never commits',
    file: 'aggregator/task.ts',
    edits: [
      [
        '    this.#ports.readFrom(aggregator.position);\n    this.#aggregator = aggregator;',
        '    this.#aggregator = aggregator;',
      ],
      [
        '    if (aggregator.position >= this.#committedOffset) this.#endRestore(aggregator);\n  }\n\n  #endRestore',
        '    if (aggregator.position >= this.#committedOffset) this.#endRestore(aggregator);\n    this.#ports.readFrom(aggregator.position);\n  }\n\n  #endRestore',
      ],
    ],
  },
  {
    name: 'tick-before-the-end',
    bug: 'a tick is appended while there are unread clicks',
    file: 'aggregator/task.ts',
    edits: [[' || aggregator.position < this.#highWatermark) return;', ') return;']],
  },
  {
    name: 'state-kept-after-failure',
    bug: 'a task whose commit failed counts on from memory',
    file: 'aggregator/task.ts',
    edits: [["this.#aggregator = undefined;\n    this.#state = 'starting';", 'return;']],
  },
  {
    name: 'split-by-arrival',
    bug: 'a hot ad is split from a moment on instead of a minute of event time: a copy posted later goes elsewhere',
    file: 'ingest/hot-ads/rule.ts',
    edits: [['return isSplit(adId, clickedAt) ?', "return isSplit(adId, Reflect.get(arguments[0], 'receivedAt')) ?"]],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'split-by-click-id',
    bug: 'clicks of a hot ad are spread by the id of the accepted line: each copy goes elsewhere',
    file: 'ingest/hot-ads/rule.ts',
    edits: [
      ['splitPartitionOf(eventId, partitions)', "splitPartitionOf(Reflect.get(arguments[0], 'clickId'), partitions)"],
    ],
  },
  {
    name: 'rules-not-waited-for',
    bug: 'clicks of minutes are routed for which a rule may stand in the log that was not read yet',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [['    if (refusal) throw refusal;\n', '']],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'rules-by-the-clock',
    bug: 'the rules are taken to be known for longer than the announcement takes',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [['this.#terms.noticeMs - this.#terms.brokerSkewMs;', 'this.#terms.noticeMs + 60_000;']],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'rules-from-the-middle',
    bug: 'the log of rules is read from anywhere: what stands before is not known',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [['if (fetchedOffset > this.#position) {', 'if (fetchedOffset < 0) {']],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'late-rule-holds',
    bug: 'a rule holds although it was appended when its minutes were being routed already',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [['if (this.#holds(rule, record)) {', 'if (rule.from > record.timestamp) {']],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'rules-keyed-by-ad',
    bug: "compaction keeps an ad's last rule only, and minutes split by an earlier one are joined again",
    file: 'ingest/hot-ads/rule.ts',
    edits: [
      [
        'function keyOf({ ruleId, adId, from, until }: HotAdRule): string {',
        'function keyOf({ ruleId, adId, from, until }: HotAdRule): string {\n  return adId;',
      ],
    ],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'partitions-by-arrival',
    bug: 'over how many partitions a click is spread goes by when it comes: a late copy does not meet its first',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [
      [
        'return routeOf(click, this.#partitionsAt(click.clickedAt), this.#isSplit);',
        'return routeOf(click, this.#partitionsAt(this.#lastAppendedAt), this.#isSplit);',
      ],
    ],
  },
  {
    name: 'growth-without-notice',
    bug: 'a growth holds that was appended too late for everybody to know of it in time',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [['    if (!this.#holds(rule, record)) return false;\n    this.#growths', '    this.#growths']],
  },
  {
    name: 'partitions-counted-not-named',
    bug: 'as many partitions as there should be are taken for those that should be: a new one stands for one that lags',
    file: 'query-api/finality.ts',
    edits: [['.filter(partition => partition < partitionsOf(progress))', '']],
  },
  {
    name: 'partitions-of-the-start',
    bug: 'a task goes on telling the number of partitions from before they grew: minutes are final without the new ones',
    file: 'aggregator/task-group.ts',
    edits: [['    partitionsAt,\n    tasks:', '    partitionsAt: () => partitionsAt(0),\n    tasks:']],
  },
  {
    name: 'partitions-not-compared',
    bug: 'a process does not hold the topics against what is recorded of their partitions',
    file: 'ingest/hot-ads/partition-watch.ts',
    edits: [['difference = doubt;', 'difference = undefined;']],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'partitions-first-announced',
    bug: 'a growth is announced before the topics have the partitions: clicks go to partitions that nobody has',
    file: 'ingest/hot-ads/grow-partitions.ts',
    edits: [
      ['for (const name of countedTopics) await topics.grow(names.topic(name), to);', ''],
      ['!(await topics.areLed(to))', 'false'],
    ],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'second-base-holds',
    bug: 'of two first processes that record the number of partitions the second overrules the first',
    file: 'ingest/hot-ads/rule-book.ts',
    edits: [['this.#base ??= rule;', 'this.#base = rule;']],
    unit: 'test/unit/ingest/hot-ads',
  },
  {
    name: 'lines-overwritten-while-sent',
    bug: 'lines of new requests are written over those of a send that is not acknowledged yet, and may be repeated',
    file: 'ingest/click-log.ts',
    edits: [
      ['    const observe = produceSeconds', '    this.#buffer.release(chunks);\n    const observe = produceSeconds'],
    ],
    unit: 'test/unit/ingest/click-log.test.ts',
  },
  {
    name: 'request-overwritten-while-written',
    bug: "a request's memory is used again while the socket has not written it yet",
    file: 'infra/kafka/framed-socket.ts',
    edits: [
      [
        'write(request, error => {',
        "(typeof request === 'string' || requestWritten(request), write)(request, error => {",
      ],
    ],
    unit: 'test/unit/infra/kafka/request-memory.test.ts',
  },
  {
    name: 'plain-field-twice',
    bug: 'of a field that is given twice the first counts for some clicks and, as JSON has it, the last for others',
    file: 'ingest/plain-click.ts',
    edits: [
      [
        'if (adEnd !== 0 || !isAdId(source, valueStart, valueEnd)) return -1;',
        'if (!isAdId(source, valueStart, valueEnd)) return -1;\n          if (adEnd === 0)',
      ],
    ],
    unit: 'test/unit/ingest/click-batch.test.ts',
  },
  {
    name: 'plain-click-cut-short',
    bug: 'of a body with something behind its last click only the clicks are looked at',
    file: 'ingest/click-batch.ts',
    edits: [['if (!isArray) return at === body.length;', 'if (!isArray) return true;']],
    unit: 'test/unit/ingest/click-batch.test.ts',
  },
];

export function mutationNamed(name: string): Mutation {
  const found = mutations.find(mutation => mutation.name === name);
  if (found === undefined) throw new Error(`MUTATION=${name}: there is no such mutation`);
  return found;
}

/** @throws if the text to replace is not there exactly once */
export function mutated({ name, file, edits }: SourceEdit, source: string): string {
  let text = source;
  for (const [find, replacement] of edits) {
    if (text.split(find).length !== 2) throw new Error(`mutation ${name}: ${file} does not hold exactly once: ${find}`);
    text = text.replace(find, () => replacement);
  }
  return text;
}
