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
        'await this.#insertAll(taken);\n      await this.#commitAll(taken);',
        'await this.#commitAll(taken);\n      await this.#insertAll(taken);',
      ],
    ],
  },
  {
    name: 'collects-under-load',
    bug: 'everything is collected while clicks come in: each time they wait for tens of milliseconds',
    file: 'infra/idle-memory.ts',
    unit: 'test/unit/infra/idle-memory.test.ts',
    edits: [['utilization < idleUtilization ? idleFor + 1 : 0', 'utilization < 1 ? idleFor + 1 : 0']],
  },
  {
    name: 'collects-a-large-heap',
    bug: 'a large heap is looked through at rest: the first click after a pause waits for a second',
    file: 'infra/idle-memory.ts',
    unit: 'test/unit/infra/idle-memory.test.ts',
    edits: [['&& heapUsedMb <= largestHeapMb ', '']],
  },
  {
    name: 'alter-on-one-server',
    bug: 'an ALTER goes to one server of a cluster: the others leave out the column of every row that they take',
    file: 'infra/clickhouse/table-statements.ts',
    unit: 'test/unit/infra/clickhouse/table-statements.test.ts',
    edits: [["if (kind === 'ALTER TABLE') return onCluster + rest;", "if (kind === 'ALTER TABLE') return statement;"]],
  },
  {
    name: 'view-on-one-server',
    bug: 'the view of ad_minute is on one server of a cluster: what is inserted at another is missing in ad_minute_by_ad',
    file: 'infra/clickhouse/table-statements.ts',
    unit: 'test/unit/infra/clickhouse/table-statements.test.ts',
    edits: [
      ['throw unknown(statement);\n  return onCluster + rest;', 'throw unknown(statement);\n  return statement;'],
    ],
  },
  {
    name: 'engine-arguments-lost',
    bug: 'with a path the version is left out of the engine: the last row that comes wins, stale or not',
    file: 'infra/clickhouse/table-statements.ts',
    unit: 'test/unit/infra/clickhouse/table-statements.test.ts',
    edits: [["...(own === '' ? [] : [own])", '']],
  },
  {
    name: 'repeated-blocks-dropped',
    bug: 'a replicated table drops a block that it has had: rows that were deleted do not come back with the log',
    file: 'infra/clickhouse/table-statements.ts',
    unit: 'test/unit/infra/clickhouse/table-statements.test.ts',
    edits: [['forgetful(replicated(rest, bareRest, tables))', 'replicated(rest, bareRest, tables)']],
  },
  {
    name: 'ledger-not-replicated',
    bug: 'the table of migrations is on one server of a cluster: the next one applies all of them again',
    file: 'infra/migrate.ts',
    unit: 'test/unit/infra/clickhouse/table-statements.test.ts',
    edits: [['tableStatement(ledger, tables)', 'ledger']],
  },
  {
    name: 'tables-of-another-kind',
    bug: 'replicated tables are read without being told so: progress shows on a replica that lacks the rows',
    file: 'infra/migrate.ts',
    unit: 'test/unit/infra/clickhouse/table-statements.test.ts',
    edits: [['if (kept !== prefix)', "if (prefix !== '' && kept !== prefix)"]],
  },
  {
    name: 'replica-in-path',
    bug: 'a path with {replica} is taken: each server keeps the rows that it was sent, and no others',
    file: 'infra/clickhouse/table-engine.ts',
    unit: 'test/unit/infra/clickhouse/table-engine.test.ts',
    edits: [["path.includes('{replica}')", "path.includes('{replica}s')"]],
  },
  {
    name: 'replicas-with-sinks-of-their-own',
    bug: 'several addresses of a cluster that replicates itself are taken for nodes: each row is inserted once for each of them',
    file: 'infra/clickhouse/table-engine.ts',
    unit: 'test/unit/infra/clickhouse/table-engine.test.ts',
    edits: [['nodes.length > 1)', 'nodes.length > 2)']],
  },
  {
    name: 'lagging-replica-read',
    bug: 'whichever replica answers is believed: it may have progress, and not the rows that it covers',
    file: 'infra/clickhouse/table-engine.ts',
    integration: 'test/integration/clickhouse/server-client.test.ts',
    edits: [["return prefix === '' ? {} : {", "return prefix !== 'Shared' ? {} : {"]],
  },
  {
    name: 'quorums-side-by-side',
    bug: 'inserts find majorities of their own, side by side: no replica need have all rows, and no read can be asked for them',
    file: 'infra/clickhouse/table-engine.ts',
    integration: 'test/integration/clickhouse/server-client.test.ts',
    edits: [['insert_quorum_parallel: 0', 'insert_quorum_parallel: 1']],
  },
  {
    name: 'alter-not-waited-for',
    bug: 'an ALTER is over when one replica has it: another takes rows meanwhile, and leaves the new column out',
    file: 'infra/clickhouse/table-engine.ts',
    integration: 'test/integration/clickhouse/server-client.test.ts',
    edits: [["alter_sync: '2'", "alter_sync: '1'"]],
  },
  {
    name: 'idle-fetch-waits-for-bytes',
    bug: 'at rest a fetch waits for a second also when a click has come in, as it is less than the bytes under load',
    file: 'infra/kafka/idle-fetches.ts',
    unit: 'test/unit/infra/kafka/idle-fetches.test.ts',
    edits: [['minBytes: 1, ', 'minBytes: asked.minBytes, ']],
  },
  {
    name: 'call-while-busy-lost',
    bug: 'a call that comes while the loop has a turn is forgotten: what is asked for then waits until the loop looks by itself',
    file: 'infra/wake-up.ts',
    unit: 'test/unit/infra/wake-up.test.ts',
    edits: [['if (!isCalled) {', 'isCalled = false;\n      {']],
  },
  {
    name: 'jobs-only-by-call',
    bug: 'jobs are looked for only when somebody says so: one of which nobody has told waits for ever',
    file: 'query-api/jobs/runner/job-loop.ts',
    unit: 'test/unit/query-api/at-rest.test.ts',
    edits: [[' || now() >= lookedAt + looksAgainMs,', ',']],
  },
  {
    name: 'call-answered-once',
    bug: 'who is called looks a few times, and no longer: a job that a sink brings a minute later waits for half a minute',
    file: 'query-api/jobs/runner/job-loop.ts',
    unit: 'test/unit/query-api/at-rest.test.ts',
    edits: [['askedUntil = now() + sinkMs;', '']],
  },
  {
    name: 'late-lines-once-a-minute',
    bug: 'late lines that are counted wake nobody: they are restated up to a minute later',
    file: 'query-api/jobs/runner/work-finder.ts',
    unit: 'test/unit/query-api/at-rest.test.ts',
    edits: [
      [
        'if (quarantined !== last?.quarantined || finalUntil !== last.finalUntil) return true;',
        'if (last === undefined) return true;',
      ],
    ],
  },
  {
    name: 'attempts-kept-while-one-runs',
    bug: 'what has failed, or is to be repaired, is kept though a job is open that changes it',
    file: 'query-api/jobs/runner/work-finder.ts',
    unit: 'test/unit/query-api/work-finder.test.ts',
    edits: [['kept.keeps(!isStale);', 'kept.keeps(true);']],
  },
  {
    name: 'blocks-once-a-minute',
    bug: 'a minute that has become final wakes no roll-up: its list is worked out up to a minute later',
    file: 'query-api/jobs/rollup/roll-up-loop.ts',
    unit: 'test/unit/query-api/at-rest.test.ts',
    edits: [['known?.finalUntil === finalUntil && now() < known.until', 'known !== undefined && now() < known.until']],
  },
  {
    name: 'restatement-wakes-no-roll-up',
    bug: 'lists are not looked at again though minutes in them were restated',
    file: 'query-api/jobs/rollup/roll-up-loop.ts',
    unit: 'test/unit/query-api/rollup/roll-up-loop.test.ts',
    edits: [['wokenUntil = now() + looksAgainMs;', '']],
  },
  {
    name: 'hours-with-lines-unseen',
    bug: 'hours in which clicks came too late are not looked at: a click that is in no count stays unseen',
    file: 'query-api/jobs/conservation/uncounted-clicks.ts',
    unit: 'test/unit/query-api/at-rest.test.ts',
    edits: [['all.filter(hour => withLines.has(hour))', 'all.filter(hour => !withLines.has(hour))']],
  },
  {
    name: 'unread-record-asked-for',
    bug: 'who waits for the record of partitions asks the brokers four times a second: a query API that nobody asks never stops',
    file: 'ingest/hot-ads/partition-watch.ts',
    unit: 'test/unit/ingest/hot-ads/partitions.test.ts',
    edits: [['(judgement.isJudged || !isRead())', 'judgement.isJudged']],
  },
  {
    name: 'stop-waits-for-a-fetch',
    bug: 'a consumer that stops waits for records that it will not take: each process takes seconds longer to stop at rest',
    file: 'infra/kafka/group-membership.ts',
    unit: 'test/unit/infra/kafka/group-membership.test.ts',
    edits: [['  breakOffFetches(brokersOf(this.consumerGroup));\n', '']],
  },
  {
    name: 'stopped-consumer-looks-for-leaders',
    bug: 'the fetch that is broken off at the stop makes the consumer connect again, to look who leads',
    file: 'infra/kafka/group-membership.ts',
    unit: 'test/unit/infra/kafka/group-membership.test.ts',
    edits: [['  if (stopped.has(this)) return;\n', '']],
  },
  {
    name: 'interruption-untold',
    bug: 'what came while nobody watched is not told of',
    file: 'infra/kafka/append-watch.ts',
    unit: 'test/unit/infra/kafka/append-watch.test.ts',
    edits: [['onAppended();\n      while', 'while']],
  },
  {
    name: 'listeners-left-after-a-stop',
    bug: 'the live feed looks how long nobody has listened before it looks who listens: after a long stop all are left',
    file: 'query-api/routes/live/live-feed.ts',
    unit: 'test/unit/query-api/live/live-feed.test.ts',
    edits: [
      [
        'for (let lastHeardAt = now(); !stop.signal.aborted; ) {',
        'for (let lastHeardAt = now(); !stop.signal.aborted && now() - lastHeardAt < lingerMs; ) {',
      ],
    ],
  },
  {
    name: 'rest-for-ever',
    bug: 'a stall watch that has once found everything read asks no more: a reader that hangs is never noticed',
    file: 'infra/kafka/stall-watch.ts',
    unit: 'test/unit/infra/stall-watch.test.ts',
    edits: [['      resting--;\n', '']],
  },
  {
    name: 'throttled-request-forgotten',
    bug: 'nobody looks after a request that waits until the broker throttles no more: it waits for ever',
    file: 'infra/kafka/quiet-connections.ts',
    unit: 'test/unit/infra/kafka/quiet-connections.test.ts',
    edits: [['this.pending.length === 0 ||', 'this.pending.length >= 0 ||']],
  },
  {
    name: 'idle-connection-awake',
    bug: 'a connection looks after waiting requests though none waits, as kafkajs does: each process is woken 750 times a second at rest',
    file: 'infra/kafka/quiet-connections.ts',
    unit: 'test/unit/infra/kafka/quiet-connections.test.ts',
    edits: [['if (this.pending.length === 0 || this.throttleCheckTimeoutId', 'if (this.throttleCheckTimeoutId']],
  },
  {
    name: 'overdue-after-first-connection',
    bug: 'the timer for overdue answers ends with the first connection that closes: the others wait for ever',
    file: 'infra/kafka/quiet-connections.ts',
    unit: 'test/unit/infra/kafka/quiet-connections.test.ts',
    edits: [['  if (watched.size > 0) return;\n', '']],
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
        'producerOf(requests, { transactionalId, ...identity }, limits.patienceMs)',
        'producerOf(requests, { transactionalId, ...identity }, limits.patienceMs, kafka)',
      ],
      [
        'patienceMs: number,\n): TransactionalProducer {',
        'patienceMs: number,\n  kafka: KafkaClient,\n): TransactionalProducer {',
      ],
      ['failed ??= error;', 'return await (await openTransactionalProducer(kafka, transactionalId)).commit(content);'],
    ],
  },
  {
    name: 'acknowledge-missing-partition',
    bug: 'a partition that the answer lacks is taken for written',
    file: 'infra/kafka/partition-sender.ts',
    unit: 'test/unit/infra/kafka/partition-sender.test.ts',
    edits: [['result === undefined && this.#options.acks !== 0', 'result === undefined && this.#options.acks === 2']],
  },
  {
    name: 'former-leader-done',
    bug: 'the refusal of a broker that leads the partition no more is taken for done',
    file: 'infra/kafka/produce-verdict.ts',
    unit: 'test/unit/infra/kafka/partition-sender.test.ts',
    edits: [['  0, // NONE', '  0, // NONE\n  6,']],
  },
  {
    name: 'sequences-reused',
    bug: 'after a failure other records get the sequence numbers of those in doubt: the broker swallows them as copies',
    file: 'infra/kafka/partition-sender.ts',
    unit: 'test/unit/infra/kafka/partition-sender.test.ts',
    edits: [['lane.identity = undefined;', '']],
  },
  {
    name: 'waits-for-silent-leader',
    bug: 'a broker that hangs is waited for though another leads its partitions',
    file: 'infra/kafka/partition-sender.ts',
    unit: 'test/unit/infra/kafka/partition-sender.test.ts',
    edits: [['this.#leaveSilent(batch, batch.sentTo, leader, nowMs);', '']],
  },
  {
    name: 'restore-from-too-high',
    bug: 'the checkpoint begins one record behind the first click it needs',
    file: core,
    edits: [['restoreFrom = window.firstOffset;', 'restoreFrom = window.firstOffset + 1;']],
  },
  {
    name: 'acks-not-kept',
    bug: 'the checkpoint does not keep what was acknowledged: after a restart a loss is forgotten',
    file: 'aggregator/ack-metadata.ts',
    edits: [["if (typeof text !== 'string') return unknownAcks;", 'if (text !== 0) return unknownAcks;']],
  },
  {
    name: 'acks-taken-twice',
    bug: 'what a restore reads again is taken again as a word about acknowledgements',
    file: core,
    edits: [['this.#acks = new Acknowledgements(acks);', '']],
  },
  {
    name: 'acks-of-the-last-only',
    bug: 'every batch before the last acknowledged one is taken for acknowledged: what was lost hides behind what was in doubt',
    file: 'ingest/ack-chain.ts',
    edits: [['if (batch >= last) return batch === last;', 'if (batch > 0) return batch <= last;']],
  },
  {
    name: 'late-batch-begins-a-writer',
    bug: 'a writer is followed from the first batch that is seen: one in doubt that came late makes losses that are none',
    file: 'aggregator/core/acknowledgements.ts',
    edits: [['if (known.received === undefined && outcome !== true) return false;', '']],
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
        'aggregator.process(offset, timestamp, ',
        'aggregator.process(offset, [...batch.records].at(-1)?.timestamp ?? timestamp, ',
      ],
    ],
  },
  {
    name: 'reset-told',
    bug: 'a read that was sent into a connection just closed by the server is answered with 503',
    file: 'infra/clickhouse/reads.ts',
    edits: [['await read(sent).catch(again)', 'await read(sent)']],
    unit: 'test/unit/infra/clickhouse/closed-connections.test.ts',
  },
  {
    name: 'tick-at-any-moment',
    bug: 'a partition at rest gets its ticks at even distances, and a minute that has ended waits for the next',
    file: 'aggregator/idle-ticks.ts',
    edits: [['    return minuteHasEnded || sinceMovedMs', '    return sinceMovedMs']],
    unit: 'test/unit/aggregator/idle-ticks.test.ts',
  },
  {
    name: 'tick-as-if-at-rest',
    bug: 'a partition that is counted anew believes its watermark to be as old as its own start, and leaves out its first tick',
    file: 'aggregator/idle-ticks.ts',
    edits: [['openWindows > 0 || !hasTicked', 'openWindows > 0']],
    unit: 'test/unit/aggregator/idle-ticks.test.ts',
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
    file: 'aggregator/core/id-hash.ts',
    edits: [['start = eventIdStart;\n    end = eventIdEnd;', 'start = adIdStart;\n    end = adIdEnd;']],
  },
  {
    name: 'ids-without-ad',
    bug: 'duplicates are told by the event id alone: who knows the ids of a rival takes his clicks',
    file: 'aggregator/core/click-group.ts',
    edits: [['reader.clickedAt >= this.idsPerAdFrom', 'false']],
  },
  {
    name: 'ids-without-border',
    bug: 'the hash leaves out how long the ad is: some ads of repeated characters share their ids',
    file: 'aggregator/core/id-hash.ts',
    edits: [['(isPerAd ? (adIdEnd - adIdStart) << 16 : 0)', '0']],
  },
  {
    name: 'ids-change-within-a-minute',
    bug: 'after an upgrade open minutes are counted on by the new rule: rows and counters are of different rules',
    file: core,
    edits: [['this.#group.idsPerAdFrom = this.#endOfOpen();', 'this.#group.idsPerAdFrom = 0;']],
  },
  {
    name: 'ids-rule-forgotten',
    bug: 'the checkpoint does not keep from which minute on ids are per ad: a restart counts open minutes by the older rule',
    file: 'aggregator/commit-metadata.ts',
    edits: [["fields['idsPerAdFrom'] === undefined ? undefined", 'true ? undefined']],
  },
  {
    name: 'recount-without-ad',
    bug: 'a recount tells clicks apart by the event id alone: a restatement takes clicks from ads that share ids',
    file: 'aggregator/replay/recount.ts',
    edits: [['idsPerAdFrom[partition] ?? 0', 'Number.POSITIVE_INFINITY']],
  },
  {
    name: 'recount-by-the-new-rule',
    bug: 'a recount of a minute from before ids were per ad goes by the new rule: a final number changes because the rule did',
    file: 'aggregator/replay/recount.ts',
    edits: [['idsPerAdFrom[partition] ?? 0', '0']],
  },
  {
    name: 'reconcile-without-ad',
    bug: 'a reconciliation excuses what ads with the same ids have lost to each other',
    file: 'query-api/store/jobs/sql-recount.ts',
    edits: [['Math.min(range.to, idsPerAdFrom)', 'range.to']],
    integration: 'test/integration/clickhouse/same-ids.test.ts',
  },
  {
    name: 'raw-without-ad',
    bug: 'answers from raw clicks take one id under two ads for one click',
    file: 'query-api/store/raw-counts.ts',
    edits: [
      ['ad_id AS ad, count() AS copies', 'any(ad_id) AS ad, count() AS copies'],
      ['GROUP BY toStartOfMinute(clicked_at), ad_id, sipHash128(event_id)', 'GROUP BY m, sipHash128(event_id)'],
    ],
    integration: 'test/integration/clickhouse/same-ids.test.ts',
  },
  {
    name: 'trail-without-ad',
    bug: "the trail calls a click of one ad the duplicate of another ad's",
    file: 'query-api/answers/click-trail.ts',
    edits: [['if (counted.has(key))', 'if (counted.size > 0)']],
    integration: 'test/integration/clickhouse/same-ids.test.ts',
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
    edits: [["['ad_minute', of(recordKinds.adMinute)]", "['ad_minute', []]"]],
  },
  {
    name: 'read-without-final',
    bug: 'a query sums all versions of a row',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [['} FINAL WHERE $', '} WHERE $']],
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
      ["\n    ['partition_progress', of(recordKinds.progress)],", ''],
      ['return new Map([\n', "return new Map([\n    ['partition_progress', of(recordKinds.progress)],\n"],
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
    file: 'aggregator/idle-ticks.ts',
    edits: [['    if (!isAtEnd) return false;\n', '    void isAtEnd;\n']],
  },
  {
    name: 'state-kept-after-failure',
    bug: 'a task whose commit failed counts on from memory',
    file: 'aggregator/task.ts',
    edits: [["this.#aggregator = undefined;\n    this.#transitionTo('starting');", 'return;']],
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
    file: 'query-api/store/finality.ts',
    edits: [
      ['    if (!present.has(partition)) return { watermark: null, finalUntil: null };\n', ''],
      ['if (wanted === 0)', 'if (wanted === 0 || present.size < wanted)'],
    ],
    unit: 'test/unit/query-api/finality.test.ts',
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
      [
        'observe = produceSeconds.startTimer();',
        'this.#buffer.release(number, batch.chunks);\n          observe = produceSeconds.startTimer();',
      ],
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
        'if (adEnd !== 0 || !isAdId(source, valueStart, valueEnd) || isDots(source, valueStart, valueEnd)) return -1;',
        'if (!isAdId(source, valueStart, valueEnd)) return -1;\n          if (adEnd === 0)',
      ],
    ],
    unit: 'test/unit/ingest/click-batch.test.ts',
  },
  {
    name: 'plain-click-cut-short',
    bug: 'of a body with something behind its last click only the clicks are looked at',
    file: 'ingest/click-batch.ts',
    edits: [
      ['if (plainEnd !== -1 && (yield* behindSpace(body, plainEnd)) === body.length)', 'if (plainEnd !== -1)'],
      ['if ((yield* behindSpace(body, at + 1)) !== body.length) throw bodyNotJson();', ''],
    ],
    unit: 'test/unit/ingest/click-batch.test.ts',
  },
  {
    name: 'body-judged-at-once',
    bug: 'a body is judged from end to end, and nobody else is served meanwhile',
    file: 'ingest/click-batch.ts',
    edits: [['if (work < sliceWork) return false;', 'if (work >= 0) return false;']],
    unit: 'test/unit/ingest/large-bodies.test.ts',
  },
  {
    name: 'parsing-costs-nothing',
    bug: 'a slice is measured in bytes: of small things that must be parsed it holds a hundred times the work',
    file: 'ingest/click-batch.ts',
    edits: [['work += parsedWork + parsedByteWork * click.length;', '']],
    unit: 'test/unit/ingest/large-bodies.test.ts',
  },
  {
    name: 'large-click-parsed',
    bug: 'a click may be as large as a body, and is parsed in one piece',
    file: 'ingest/click-batch.ts',
    edits: [['if (click.length > maxClickBytes) return tooLarge(click.length);', '']],
    unit: 'test/unit/ingest/large-bodies.test.ts',
  },
  {
    name: 'odd-blank-lines-for-free',
    bug: 'lines that only Unicode calls blank are decoded without any limit, as they are no clicks',
    file: 'ingest/click-batch.ts',
    edits: [['oddBlankLines++;', '']],
    unit: 'test/unit/ingest/large-bodies.test.ts',
  },
  {
    name: 'rejections-told-without-limit',
    bug: 'an answer tells every rejection: thousands of times what was posted',
    file: 'ingest/click-batch.ts',
    edits: [['else if (++rejectedTotal <= maxRejectionsTold) {', 'else if (++rejectedTotal > 0) {']],
    unit: 'test/unit/ingest/large-bodies.test.ts',
  },
  {
    name: 'text-ends-at-an-escaped-quote',
    bug: 'an escaped quote ends a text: brackets in it are taken for brackets, and the array is cut in the wrong places',
    file: 'ingest/json-extent.ts',
    edits: [['else if (byte === backslash) at++;', '']],
    unit: 'test/unit/ingest/json-extent.test.ts',
  },
  {
    name: 'small-body-behind-large-ones',
    bug: 'small bodies are judged in the same queue as large ones',
    file: 'ingest/click-judge.ts',
    edits: [['if (bytes <= smallBodyBytes) {', 'if (bytes < 0) {']],
    unit: 'test/unit/ingest/click-judge.test.ts',
  },
  {
    name: 'one-memory-for-two-bodies',
    bug: 'a small body that is judged between two slices of a large one overwrites its lines: accepted clicks are lost',
    file: 'ingest/click-judge.ts',
    edits: [
      ['const large = { parser: createClickParser(maxItems), join: createBodyJoiner() };', 'const large = small;'],
    ],
    unit: 'test/unit/ingest/click-judge.test.ts',
  },
  {
    name: 'inflated-at-any-ratio',
    bug: 'gzip is inflated up to the limit of a body, however small it came',
    file: 'ingest/request-body.ts',
    edits: [['freeInflatedBytes + maxInflateRatio * body.length', 'freeInflatedBytes + limitBytes']],
    unit: 'test/unit/ingest/request-body.test.ts',
  },
  {
    name: 'inflated-on-the-event-loop',
    bug: 'large bodies are inflated synchronously',
    file: 'ingest/request-body.ts',
    edits: [['inTurn(client, () => gunzipAsync(body, options))', 'gunzipSync(body, options)']],
    unit: 'test/unit/ingest/request-body.test.ts',
  },
  {
    name: 'untold-rejections-taken-for-accepted',
    bug: 'the feed takes the rejections that ingest tells for all there are: rejected rows are reported nowhere',
    file: 'ingest/feed/poster.ts',
    edits: [['(body.rejected_total ?? rejected.length) <= rejected.length', 'rejected.length >= 0']],
    unit: 'test/unit/ingest/feed/poster.test.ts',
  },
  {
    name: 'ack-with-a-missing-partition',
    bug: 'now and then a send leaves a partition out, and its clicks are acknowledged with the others',
    file: 'ingest/click-log.ts',
    edits: [
      [
        'return withHeader(records, begun.header);',
        'return Math.random() < 0.02 ? undefined : withHeader(records, begun.header);',
      ],
    ],
    integration: 'test/integration/cluster.test.ts',
  },
  {
    name: 'commit-without-partition',
    bug: 'a commit is taken for done though the answer says nothing of one of its partitions',
    file: 'infra/kafka/checked-answers.ts',
    edits: [["compare('OffsetCommit', asked.topics, answer.responses);", 'void answer.responses;']],
    unit: 'test/unit/infra/kafka/checked-answers.test.ts',
  },
  {
    name: 'missing-read-as-no-commit',
    bug: 'a partition that an answer leaves out counts as one without a commit, and is read from where the log begins',
    file: 'infra/kafka/admin.ts',
    edits: [
      ['if (missing !== undefined) throw new Retryable(', 'if (missing === -1) throw new Retryable('],
      ['if (!all.has(partition))', 'if (all.size === 0)'],
    ],
    unit: 'test/unit/infra/kafka/admin.test.ts',
  },
  {
    name: 'assigned-and-not-read',
    bug: 'an assigned partition that the metadata does not know is not read, and nobody is told',
    file: 'infra/kafka/checked-answers.ts',
    edits: [
      [
        'const missing = partitions.find(partition => !found.has(partition));',
        'const missing = partitions.at(found.size + 99);',
      ],
    ],
    unit: 'test/unit/infra/kafka/checked-answers.test.ts',
  },
  {
    name: 'ended-and-committed',
    bug: 'a commit of a consumer that has ended is taken for done, as kafkajs does',
    file: 'infra/kafka/group-coordinator.ts',
    edits: [["throw new Error('no member of the group now, nothing is committed');", 'return;']],
    unit: 'test/unit/infra/kafka/group-coordinator.test.ts',
  },
  {
    name: 'old-coordinator-kept',
    bug: 'the coordinator that was found first is asked for ever',
    file: 'infra/kafka/group-coordinator.ts',
    edits: [['if (isLost) asking.coordinator = await', 'if (isLost) await']],
    unit: 'test/unit/infra/kafka/group-coordinator.test.ts',
  },
  {
    name: 'joined-for-a-leader',
    bug: 'the whole group joins anew whenever a partition’s leader has moved, as with kafkajs',
    file: 'infra/kafka/group-membership.ts',
    edits: [
      ["if (!isPassing(error) && Reflect.get(Object(error), 'type') !== 'UNKNOWN_TOPIC_OR_PARTITION')", 'if (error)'],
    ],
    unit: 'test/unit/infra/kafka/group-membership.test.ts',
  },
  {
    name: 'leaderless-for-long',
    bug: 'a partition without a leader is looked for when the metadata expire, and not read until then',
    file: 'infra/kafka/metadata-refresh.ts',
    edits: [['(isLeaderless ? Math.min(leaderlessMs, keptMs) : keptMs)', 'keptMs']],
    unit: 'test/unit/infra/kafka/metadata-refresh.test.ts',
  },
  {
    name: 'lost-broker-believed',
    bug: 'a broker that the others have lost is believed when it calls itself the leader',
    file: 'infra/kafka/metadata-refresh.ts',
    edits: [
      [
        '[...answers].sort((a, b) => listings(b) - listings(a))',
        '[...answers].sort((a, b) => listings(a) - listings(b))',
      ],
    ],
    unit: 'test/unit/infra/kafka/metadata-refresh.test.ts',
  },
  {
    name: 'lost-broker-halts',
    bug: 'a consumer ends for good once a leader says that its log ends before what is asked for',
    file: 'infra/kafka/offset-out-of-range.ts',
    edits: [['const believedAfterMs = 30_000;', 'const believedAfterMs = 0;']],
    unit: 'test/unit/infra/kafka/offset-out-of-range.test.ts',
  },
  {
    name: 'failover-taken-for-a-stall',
    bug: 'a reader that is busy overcoming a failover is ended like one that hangs',
    file: 'infra/kafka/stall-watch.ts',
    edits: [['Math.max(last.sinceMs, lastTroubleMs)', 'last.sinceMs']],
    unit: 'test/unit/infra/stall-watch.test.ts',
  },
  {
    name: 'trouble-without-end',
    bug: 'a reader that always finds trouble is never ended, though all leaders answer',
    file: 'infra/kafka/stall-watch.ts',
    edits: [
      [
        'if (silentMs < this.#limits.silentMs && standsMs < this.#limits.troubledMs) continue;',
        'if (silentMs < this.#limits.silentMs) continue;',
      ],
    ],
    unit: 'test/unit/infra/stall-watch.test.ts',
  },
  {
    name: 'two-brokers-at-a-partition',
    bug: 'a partition whose leader has moved is handled for both its leaders at the same time',
    file: 'infra/kafka/fetch-loop.ts',
    edits: [
      ['fetched.filter(batch => !busy.has(nameOf(batch)))', 'fetched.filter(batch => nameOf(batch) !== undefined)'],
    ],
    unit: 'test/unit/infra/kafka/fetch-loop.test.ts',
  },
  {
    name: 'format-passed-over',
    bug: 'a record is read by its kind alone: lines of another format are taken for what they are not',
    file: 'infra/kafka/record-contract.ts',
    edits: [['if (formats?.has(', 'if (formats !== undefined || (formats as ReadonlySet<string> | undefined)?.has(']],
    unit: 'test/unit/aggregator',
  },
  {
    name: 'kind-passed-over',
    bug: 'the sink leaves out records of a kind that it does not know, and commits behind them: they are lost',
    file: 'aggregator/sink/known-records.ts',
    edits: [['this.#end = { offset: record.offset, error };\n        return;', 'continue;']],
    unit: 'test/unit/aggregator',
  },
  {
    name: 'committed-behind-unknown',
    bug: 'the sink stands before an unknown record, but commits the batch that holds it: its successor goes on behind',
    file: 'aggregator/sink/known-records.ts',
    edits: [['records: this, nextOffset: this.#end.offset }', 'records: this }']],
    unit: 'test/simulation/unknown-format.test.ts',
  },
  {
    name: 'halt-forgotten-at-rebalance',
    bug: 'a rebalance makes a halted partition be read on: what comes behind the unknown record is committed',
    file: 'aggregator/sink/halted-partitions.ts',
    edits: [['error: before.get(keyOf(place))?.error', 'error: undefined']],
    unit: 'test/simulation/unknown-format.test.ts',
  },
  {
    name: 'refused-rows-for-ever',
    bug: 'rows that the store refuses are tried again and again, with those of other partitions, without a word',
    file: 'aggregator/sink/sink.ts',
    edits: [
      [
        'onRefused: batch => insertWhole(clickhouse, batch, aggregateRows),',
        'onRefused: (_batch, error) => Promise.reject(error),',
      ],
    ],
    unit: 'test/simulation/unknown-format.test.ts',
  },
  {
    name: 'filter-half-read',
    bug: 'of a stored filter the conditions count that this release knows: with the others left out, the count is another',
    file: 'query-api/store/filters/filter-definition.ts',
    edits: [
      ['if (Value.Check(FilterDefinition, definition)) return definition;', 'return definition as FilterDefinition;'],
    ],
    unit: 'test/unit/query-api/filters.test.ts',
  },
  {
    name: 'drain-without-delay',
    bug: 'a process that is told to stop refuses requests at once, before anybody has heard of it',
    file: 'infra/life.ts',
    edits: [['if (isServing && limits.DRAIN_DELAY_MS > 0)', 'if (limits.DRAIN_DELAY_MS < 0)']],
    unit: 'test/processes/drain.test.ts',
  },
  {
    name: 'closed-while-answering',
    bug: 'a server that stops does not wait for the requests it has taken',
    file: 'infra/http-drain.ts',
    edits: [['await answered(life?.requestsMs() ?? 0);', '']],
    unit: 'test/processes/drain.test.ts',
  },
  {
    name: 'watchdog-on-its-own-loop',
    bug: 'the watchdog is a timer of the event loop that it watches, and gets no turn when that one gets none',
    file: 'infra/watchdog.ts',
    edits: [
      [
        '  const workerData: WatchdogData',
        '  let at = performance.now();\n' +
          '  setInterval(() => {\n' +
          '    if (performance.now() - at > stallMs) process.kill(process.pid, stallSignal);\n' +
          '    at = performance.now();\n' +
          '  }, turnMs);\n' +
          '  if (stallMs > 0) return;\n' +
          '  const workerData: WatchdogData',
      ],
    ],
    unit: 'test/processes/watchdog.test.ts',
  },
  {
    name: 'watchdog-counts-its-sleep',
    bug: 'the watchdog goes by the clock: a process that was stopped as a whole is ended when it goes on',
    file: 'infra/watchdog-clock.ts',
    edits: [['Math.min(tookMs, this.#turnMs)', 'tookMs']],
    unit: 'test/unit/infra/watchdog-clock.test.ts',
  },
  {
    name: 'lost-raw-clicks-counted',
    bug: 'a range whose raw clicks are no longer kept is answered from the few that are left',
    file: 'query-api/routes/ads/wanted-clicks.ts',
    edits: [['if (isFromRaw(wanted)) checkRaw(', 'if (uniques) checkRaw(']],
    unit: 'test/unit/query-api/app.test.ts',
  },
  {
    name: 'compared-with-lost-raw-clicks',
    bug: 'a comparison with a previous range whose raw clicks are no longer kept is answered with too few clicks',
    file: 'query-api/routes/ads/wanted-clicks.ts',
    edits: [['checkRaw(before ?? range,', 'checkRaw(range,']],
    unit: 'test/unit/query-api/app.test.ts',
  },
  {
    name: 'restatement-cancelled',
    bug: 'whoever asks cancels the restatement of late clicks: they stay out of their count',
    file: 'query-api/routes/jobs/replays.ts',
    edits: [["if (job.kind === 'restate') throw notCancellable(job);", '']],
    unit: 'test/unit/query-api/app.test.ts',
  },
  {
    name: 'late-clicks-forgotten-with-their-job',
    bug: 'late clicks whose job was cancelled, or is gone, are taken for counted',
    file: 'query-api/jobs/restate/late-minutes.ts',
    edits: [
      [
        "(late.state === 'queued' || late.state === 'running' || hasFailedLately(late))",
        "(late.state !== 'failed' || hasFailedLately(late))",
      ],
    ],
    unit: 'test/unit/query-api/jobs.test.ts',
  },
  {
    name: 'late-clicks-seen-are-counted',
    bug: 'late clicks are counted once a job has taken them, whatever becomes of it',
    file: 'query-api/store/late-clicks.ts',
    edits: [
      [
        'recounted.until[late.partition] <= late.offset AS waits',
        'late.minute_ms NOT IN (SELECT toInt64(toUnixTimestamp(minute)) * 1000 FROM minute_recount) AS waits',
      ],
    ],
    integration: 'test/integration/clickhouse/late-clicks.test.ts',
  },
  {
    name: 'late-clicks-of-open-jobs-untold',
    bug: 'pending_late leaves out the minutes of a job that is open',
    file: 'query-api/store/late-clicks.ts',
    edits: [
      [
        'recounted.until[late.partition] <= late.offset AS waits',
        `recounted.until[late.partition] <= late.offset AND late.minute_ms NOT IN (
          SELECT toInt64(toUnixTimestamp(arrayJoin(minutes))) * 1000 FROM replay_job FINAL WHERE state = 'running') AS waits`,
      ],
    ],
    integration: 'test/integration/clickhouse/late-clicks.test.ts',
  },
  {
    name: 'law-believes-recounts',
    bug: 'the law asks what recounts say of themselves instead of the clicks: one that changed nothing hides them',
    file: 'query-api/store/jobs/uncounted-rows.ts',
    edits: [
      [
        '\n    ),\n    fresh AS (',
        " AND toDateTime(intDiv(clicked_at, 60000) * 60, 'UTC') NOT IN (SELECT minute FROM recounted_minute)\n    ),\n    fresh AS (",
      ],
    ],
    integration: 'test/integration/clickhouse/late-clicks.test.ts',
  },
  {
    name: 'read-until-the-end',
    bug: 'a recount claims all that raw has when it ends, and not when it began to read',
    file: 'query-api/jobs/recount/recount-job.ts',
    edits: [
      [
        'const readUntil = asked.apply ? await deps.rawPositions() : new Map<number, number>();',
        'let readUntil = new Map<number, number>();',
      ],
      [
        'const restater = createRestater({ job: asked.id, reason: reasonOf(asked), readUntil, now });',
        'let restater = createRestater({ job: asked.id, reason: reasonOf(asked), readUntil, now });',
      ],
      [
        'for (const change of changes) found.push(change);',
        'readUntil = new Map(await deps.rawPositions()); restater = createRestater({ job: asked.id, reason: reasonOf(asked), readUntil, now }); found.push(...changes);',
      ],
    ],
    integration: 'test/integration/clickhouse/late-clicks.test.ts',
  },
  {
    name: 'visible-before-it-is-told',
    bug: 'a minute is made visible before all of its changes are inserted: a reader sees some of them',
    file: 'aggregator/job-records.ts',
    edits: [
      ["  { kind: 'restatement', table: 'restatement' },\n", ''],
      [
        "  { kind: 'recounted-minute', table: 'recounted_minute' },\n",
        "  { kind: 'recounted-minute', table: 'recounted_minute' },\n  { kind: 'restatement', table: 'restatement' },\n",
      ],
    ],
    unit: 'test/simulation/restated-at-once.test.ts',
  },
  {
    name: 'settled-before-it-is-copied',
    bug: 'a minute is called settled before its counts are inserted: a reader takes the old ones',
    file: 'aggregator/job-records.ts',
    edits: [
      ["  { kind: 'settled-minute', table: 'recounted_minute' },\n", ''],
      [
        "  { kind: 'ad-minute', table: 'ad_minute' },\n",
        "  { kind: 'settled-minute', table: 'recounted_minute' },\n  { kind: 'ad-minute', table: 'ad_minute' },\n",
      ],
    ],
    unit: 'test/simulation/restated-at-once.test.ts',
  },
  {
    name: 'job-before-its-results',
    bug: "the sink inserts a job's row first: whoever sees it does not see what the job has said",
    file: 'aggregator/job-records.ts',
    edits: [
      ["  { kind: 'job', table: 'replay_job' },\n", ''],
      [
        "  { kind: 'diff', table: 'replay_diff' },\n",
        "  { kind: 'job', table: 'replay_job' },\n  { kind: 'diff', table: 'replay_diff' },\n",
      ],
    ],
    unit: 'test/simulation/restated-at-once.test.ts',
  },
  {
    name: 'term-before-former-results',
    bug: 'the sink inserts the row of a term first: a new runner reads before it sees what the one before has committed',
    file: 'aggregator/job-records.ts',
    edits: [
      ["  { kind: 'job-runner', table: 'job_runner' },\n", ''],
      [
        "  { kind: 'diff', table: 'replay_diff' },\n",
        "  { kind: 'job-runner', table: 'job_runner' },\n  { kind: 'diff', table: 'replay_diff' },\n",
      ],
    ],
    unit: 'test/simulation/restated-at-once.test.ts',
  },
  {
    name: 'results-before-their-commit',
    bug: 'the sink reads what jobs say before it is committed: what a fenced runner has left behind becomes visible',
    file: 'aggregator/sink/sink.ts',
    edits: [
      [
        "'write-offs'] as const).map(names.topic),\n    isolation: 'read_committed',",
        "'write-offs'] as const).map(names.topic),\n    isolation: 'read_uncommitted',",
      ],
    ],
    integration: 'test/integration/job-log.test.ts',
  },
  {
    name: 'job-told-before-its-results',
    bug: 'a job is said to be as far, or done, in a transaction before that of what it has found',
    file: 'query-api/jobs/writing/job-writer.ts',
    edits: [
      [
        "await log.write([...said, { kind: 'job', rows: [jobRowOf(job)] }]);",
        "await log.write([{ kind: 'job', rows: [jobRowOf(job)] }]); await log.write(said);",
      ],
    ],
    unit: 'test/unit/query-api/job-log.test.ts',
  },
  {
    name: 'job-told-before-its-commit',
    bug: 'a job is taken for saved before its transaction is committed',
    file: 'query-api/jobs/writing/job-writer.ts',
    edits: [['await log.write([...said,', 'void log.write([...said,']],
    unit: 'test/unit/query-api/job-log.test.ts',
  },
  {
    name: 'reads-before-its-own-writes',
    bug: 'a turn begins before ClickHouse shows what the one before has said: a job that is done runs once more',
    file: 'query-api/jobs/runner/job-loop.ts',
    edits: [['await store.caughtUp();\n  const progress', 'const progress']],
    unit: 'test/unit/query-api/job-loop.test.ts',
  },
  {
    name: 'filters-by-the-clock',
    bug: 'of two changes of a filter the one with the later clock holds, and compaction keeps the other',
    file: 'aggregator/sink/result-rows.ts',
    edits: [['seq: filterSeqAt(offset)', 'seq: JSON.parse(value.toString()).updated_at']],
    integration: 'test/integration/job-log.test.ts',
  },
  {
    name: 'value-in-the-text',
    bug: 'a text stands in the SQL, in quotes that it may close',
    file: 'infra/clickhouse/sql.ts',
    edits: [
      [
        "return new Sql(['', ''], [value]);",
        `return typeof value === 'string' ? new Sql(["'" + value + "'"], []) : new Sql(['', ''], [value]);`,
      ],
    ],
    unit: 'test/unit/infra/sql.test.ts',
  },
  {
    name: 'list-in-one-parameter',
    bug: 'a long list of ads is sent in one parameter, which a server refuses',
    file: 'infra/clickhouse/sql.ts',
    edits: [['if (bytes + more > mostBytes)', 'if (parts.length === 0)']],
    unit: 'test/unit/infra/sql.test.ts',
  },
  {
    name: 'told-is-visible',
    bug: 'changes that are told are taken for visible: a number is called restated before it is',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [['return sql`(empty(restatement.rows) OR', 'return sql`(1 OR']],
    integration: 'test/integration/clickhouse/restated-at-once.test.ts',
  },
  {
    name: 'half-copied-in-lists',
    bug: 'top lists that are put together from lists take the counts as they are while a restatement is copied',
    file: 'query-api/store/rollup/top-lists.ts',
    edits: [
      [
        'await candidates(looked, depth, plan, range)',
        'await candidates(looked, depth, plan, { ...range, isSettled: true })',
      ],
    ],
    integration: 'test/integration/clickhouse/restated-at-once.test.ts',
  },
  {
    name: 'half-copied-is-read',
    bug: 'readers take the counts as they are while a restatement is copied into them',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [['if (isSettled) return', 'return']],
    integration: 'test/integration/clickhouse/restated-at-once.test.ts',
  },
  {
    name: 'never-settled',
    bug: 'a runner begins without settling what a release before has left: it states the same change a second time',
    file: 'query-api/jobs/runner/former-rows.ts',
    edits: [['if (minutes.length === 0) return;', 'if (minutes.length >= 0) return;']],
    integration: 'test/integration/clickhouse/restated-at-once.test.ts',
  },
  {
    name: 'restated-while-read',
    bug: 'nobody looks whether a restatement became visible while counts and state were read',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [
      [
        'if (!differ(after) && after.visible === before.visible && after.which === before.which) return found;',
        'if (after) return found;',
      ],
    ],
    unit: 'test/simulation/restated-at-once.test.ts',
  },
  {
    name: 'one-target-for-all',
    bug: 'a job that comes moves the target of those that wait: under traffic nobody ever passes',
    file: 'query-api/jobs/recount/raw-gate.ts',
    edits: [
      [
        'for (const job of jobs) targets.set(job, ends);',
        'for (const job of [...targets.keys(), ...jobs]) targets.set(job, ends);',
      ],
    ],
    unit: 'test/unit/query-api/raw-gate.test.ts',
  },
  {
    name: 'turn-without-end',
    bug: 'a long job keeps the runner until it is done: late clicks wait for it',
    file: 'query-api/jobs/runner/job-loop.ts',
    edits: [[' || performance.now() >= turnEndsAt', '']],
    unit: 'test/unit/query-api/job-loop.test.ts',
  },
  {
    name: 'late-clicks-in-line',
    bug: 'restatements of late clicks wait in one line with what people ask for',
    file: 'query-api/jobs/runner/job-turns.ts',
    edits: [["if (late !== undefined && lastLane !== 'late') return late;", '']],
    unit: 'test/unit/query-api/job-turns.test.ts',
  },
  {
    name: 'late-clicks-have-all-turns',
    bug: 'late clicks, which anybody can send, hold up all other jobs',
    file: 'query-api/jobs/runner/job-turns.ts',
    edits: [[" && lastLane !== 'late'", '']],
    unit: 'test/unit/query-api/job-turns.test.ts',
  },
  {
    name: 'asked-before-owed',
    bug: 'what people ask for goes before what the pipeline owes by itself',
    file: 'query-api/jobs/runner/job-turns.ts',
    edits: [["servedAt.own <= servedAt.asked ? ['own', 'asked'] : ['asked', 'own']", "['asked', 'own']"]],
    unit: 'test/unit/query-api/job-turns.test.ts',
  },
  {
    name: 'new-before-waiting',
    bug: 'a new job goes before those that wait: with ever new ones a long one never ends',
    file: 'query-api/jobs/runner/job-turns.ts',
    edits: [['{ place: ++clock, restsUntil: 0 }', '{ place: 0, restsUntil: 0 }']],
    unit: 'test/unit/query-api/job-turns.test.ts',
  },
  {
    name: 'turn-from-the-start',
    bug: 'each turn of a job begins at its start',
    file: 'query-api/jobs/runner/job-loop.ts',
    edits: [['deps.run(started, partitions)', 'deps.run({ ...started, position: started.from }, partitions)']],
    unit: 'test/unit/query-api/job-loop.test.ts',
  },
  {
    name: 'trouble-of-one-is-of-all',
    bug: 'a job whose reads always take too long is tried again and again, before all others',
    file: 'query-api/jobs/runner/job-loop.ts',
    edits: [
      ['turns.record(job, restsUntil);', 'if (restsUntil === 0) turns.record(job);'],
      ['restsUntil = now() + deps.restMs * 2 ** Math.min(times, mostDoublings);', 'restsUntil = 1;'],
    ],
    unit: 'test/unit/query-api/job-loop.test.ts',
  },
  {
    name: 'gone-clicks-are-none',
    bug: 'a job that has waited until its raw clicks are gone makes zeroes of true counts',
    file: 'query-api/jobs/runner/job-loop.ts',
    edits: [['if (!isRawKept(job.position, now())) throw new Error(rawGone);', 'void [isRawKept, rawGone];']],
    unit: 'test/unit/query-api/job-loop.test.ts',
  },
  {
    name: 'open-jobs-without-limit',
    bug: 'as many jobs are taken as anybody cares to post',
    file: 'query-api/routes/jobs/asked-jobs.ts',
    edits: [['if (open >= limit)', 'if (open < 0)']],
    unit: 'test/unit/query-api/asked-jobs.test.ts',
  },
  {
    name: 'limit-counted-side-by-side',
    bug: 'jobs that are asked for at the same moment are all counted before any of them is there',
    file: 'query-api/routes/jobs/asked-jobs.ts',
    edits: [['before.then(() => takeOne(job))', 'takeOne(job)']],
    unit: 'test/unit/query-api/asked-jobs.test.ts',
  },
  {
    name: 'failed-hour-left',
    bug: 'an hour whose reconciliation has failed is never compared again',
    file: 'query-api/jobs/runner/work-finder.ts',
    edits: [['return failed !== undefined && (await reconcileHour(failed.from));', 'return void failed ?? false;']],
    unit: 'test/unit/query-api/work-finder.test.ts',
  },
  {
    name: 'failed-hour-first',
    bug: 'an hour that always fails is tried again before any later hour',
    file: 'query-api/jobs/runner/work-finder.ts',
    edits: [
      [
        'if (nextHour + hourMs <= finalUntil) {',
        'if (nextHour + hourMs <= finalUntil && (await store.failedHours(0)).length === 0) {',
      ],
    ],
    unit: 'test/unit/query-api/work-finder.test.ts',
  },
  {
    name: 'failed-repair-left',
    bug: 'a repair that has failed is not made again',
    file: 'query-api/jobs/runner/work-finder.ts',
    edits: [
      [
        '(await unrepaired.read()).filter(one => isDueAgain(one, now()))',
        '(await unrepaired.read()).filter(one => one.attempts === 0)',
      ],
    ],
    unit: 'test/unit/query-api/work-finder.test.ts',
  },
  {
    name: 'late-clicks-behind-a-repair',
    bug: 'late minutes are not taken up while a repair runs, however long',
    file: 'query-api/jobs/runner/work-finder.ts',
    edits: [["isFree(job => laneOf(job) === 'late', 60_000)", "isFree(({ kind }) => kind === 'restate', 60_000)"]],
    unit: 'test/unit/query-api/work-finder.test.ts',
  },
  {
    name: 'one-bad-minute-fails-all',
    bug: 'a minute that cannot be recounted fails the same other minutes with it, again and again',
    file: 'query-api/jobs/runner/work-finder.ts',
    edits: [
      ['const suspects = new Set(await store.failedLateMinutes(now() - suspectForMs));', 'const suspects = new Set();'],
    ],
    unit: 'test/unit/query-api/work-finder.test.ts',
  },
  {
    name: 'compared-when-no-more-come',
    bug: 'a reconciliation waits for as long as late clicks come: one now and then, and no hour is compared any more',
    file: 'query-api/jobs/reconcile/reconcile-job.ts',
    edits: [
      [
        'if (pending.size > 0 && now() - job.updatedAt < longestWaitMs) return job;',
        'if (pending.size > 0) return job;',
      ],
    ],
    unit: 'test/unit/query-api/reconcile-job.test.ts',
  },
  {
    name: 'result-believed',
    bug: 'the stored result of a reconciliation is taken for what it should be: a repair restates minutes that nobody wrote',
    file: 'query-api/jobs/reconcile/reconcile-job.ts',
    edits: [
      [
        'checkedRows(ReconcileResult, [parsed(id, result)],',
        '((_: unknown, rows: unknown[], __: string) => rows as ReconcileResult[])(ReconcileResult, [parsed(id, result)],',
      ],
    ],
    unit: 'test/unit/query-api/reconcile-job.test.ts',
  },
  {
    name: 'unreadable-result-stops-repairs',
    bug: 'the result of one reconciliation cannot be read, and no drift of any other is repaired',
    file: 'query-api/jobs/runner/work-finder.ts',
    edits: [['if (!(error instanceof Corrupt)) throw error;', 'if (error instanceof Corrupt) throw error;']],
    unit: 'test/unit/query-api/work-finder.test.ts',
  },
  {
    name: 'page-continued-anywhere',
    bug: 'a recount continues after whatever a page ends with: clicks are left out, or read again without end',
    file: 'query-api/jobs/recount/recount-steps.ts',
    edits: [
      [
        "checkedRows(LastClick, [row], 'click_raw, last row of a page')",
        '[row as { ad_id: string; click_id: string; clicked_at: number }]',
      ],
    ],
    unit: 'test/unit/query-api/recount-steps.test.ts',
  },
  {
    name: 'left-out-unsaid',
    bug: 'minutes that were not compared are said to be',
    file: 'query-api/jobs/reconcile/reconcile-job.ts',
    edits: [['(resultOf(job).leftOut ?? 0) + pending.size', '0 * pending.size']],
    unit: 'test/unit/query-api/reconcile-job.test.ts',
  },
  {
    name: 'one-block-holds-up-all',
    bug: 'a top list that cannot be worked out is tried again and again, before all others',
    file: 'query-api/jobs/rollup/roll-up-loop.ts',
    edits: [['if (closing.aborted || ++failures >= mostFailures) throw error;', 'if (++failures > 0) throw error;']],
    unit: 'test/unit/query-api/rollup',
  },
  {
    name: 'waiting-blocks-hold-up-older-ones',
    bug: 'top lists that wait for a restatement which is never made keep all older days from being worked out',
    file: 'query-api/jobs/rollup/roll-up-loop.ts',
    edits: [
      ['stretch.passedOver -= done;', 'stretch.passedOver = done * 0;'],
      ['stretch.turns < turnsPerStretch', 'stretch.turns > 0'],
    ],
    unit: 'test/unit/query-api/rollup',
  },
  {
    name: 'late-minutes-in-one-job',
    bug: 'all late minutes go into one job, however many somebody has scattered',
    file: 'query-api/jobs/restate/late-queue.ts',
    edits: [['if (minutes.length <= minutesPerJob)', 'if (minutes.length > 0)']],
    unit: 'test/unit/query-api/late-queue.test.ts',
  },
  {
    name: 'ads-not-in-turn',
    bug: 'late minutes go by their time of arrival alone: whoever scatters clicks stands before all others',
    file: 'query-api/store/jobs/late-minute-rows.ts',
    edits: [['PARTITION BY ad_id ORDER BY came', 'ORDER BY came']],
    integration: 'test/integration/clickhouse/job-order.test.ts',
  },
  {
    name: 'few-clicks-never',
    bug: 'minutes with many late clicks always go first: a single one waits for ever',
    file: 'query-api/jobs/restate/late-queue.ts',
    edits: [['    order.add(minute);\n', '    void minute;\n']],
    unit: 'test/unit/query-api/late-queue.test.ts',
  },
  {
    name: 'pages-by-time-alone',
    bug: 'a list of jobs begins with the newest: what runs may stand on its last page',
    file: 'query-api/store/jobs/job-store.ts',
    edits: [
      ["multiIf(state = 'running', 0, state = 'queued', 1, 2)", "multiIf(state = 'none', 0, state = 'none', 1, 2)"],
    ],
    integration: 'test/integration/clickhouse/job-order.test.ts',
  },
  {
    name: 'clicks-read-twice',
    bug: 'a job that goes on later counts the clicks of a half read minute twice',
    file: 'aggregator/replay/recount.ts',
    edits: [['if (this.#minute >= until) return lines;', '']],
    unit: 'test/unit/aggregator/recount.test.ts',
  },
  {
    name: 'shared-cache-has-users',
    bug: 'what is told of one user may be kept by a cache that others share',
    file: 'query-api/http/private-answers.ts',
    edits: [["['user_id', 'ip', 'filter']", '[]']],
    unit: 'test/unit/query-api/app.test.ts',
  },
  {
    name: 'csv-formula',
    bug: 'CSV leaves a text that begins with a full-width sign to a spreadsheet, which runs it',
    file: 'infra/csv.ts',
    edits: [['=+-@＝＋－＠', '=+-@']],
    unit: 'test/unit/infra/csv.test.ts',
  },
  {
    name: 'csv-apostrophe-kept',
    bug: 'a text that begins with an apostrophe gets none, and loses its own when it is read again',
    file: 'infra/csv.ts',
    edits: [['\\n\'"]', '\\n"]']],
    unit: 'test/unit/infra/csv.test.ts',
  },
  {
    name: 'csv-columns-differ',
    bug: 'the store marks other texts than this process: those whose first byte is not of one',
    file: 'infra/csv.ts',
    edits: [['Buffer.from(character)[0]', 'character.charCodeAt(0)']],
    integration: 'test/integration/clickhouse/exports.test.ts',
  },
  {
    name: 'csv-column-forgotten',
    bug: 'an export marks the ids of events only: an ad that begins with - is left to a spreadsheet',
    file: 'query-api/store/exports.ts',
    edits: [["format === 'csv' ?", "format === 'csv' && column === 'event_id' ?"]],
    integration: 'test/integration/clickhouse/exports.test.ts',
  },
  {
    name: 'feed-keeps-apostrophes',
    bug: 'what was exported is fed again with the apostrophes of the export, as other clicks, and is counted twice',
    file: 'ingest/feed/csv-format.ts',
    edits: [['options.isExport || kind !== undefined', 'options.isExport']],
    unit: 'test/unit/ingest/feed/laws.test.ts',
  },
  {
    name: 'feed-half-of-quarantine',
    bug: 'of an exported line in quarantine only the few fields that are told beside it are fed: no user, no country',
    file: 'ingest/feed/exported-row.ts',
    edits: [["if (kind === 'quarantine') return", "if (kind === 'clicks' && columns['raw'] !== undefined) return"]],
    unit: 'test/unit/ingest/feed/laws.test.ts',
  },
  {
    name: 'feed-takes-unknown-for-given',
    bug: 'what an export says is unknown is fed as if it were known',
    file: 'ingest/feed/exported-row.ts',
    edits: [
      ["value !== '' && ", ''],
      ["!(column === 'country' && value === unknownCountry)", 'true'],
    ],
    unit: 'test/unit/ingest/feed/laws.test.ts',
  },
  {
    name: 'feed-takes-apostrophes',
    bug: 'the apostrophe that belongs to an id in a file of others is taken off: two clicks become one',
    file: 'ingest/feed/csv-format.ts',
    edits: [['areMarked ? unmarked(cells[i]!) : cells[i]!', 'unmarked(cells[i]!)']],
    unit: 'test/unit/ingest/feed/formats.test.ts',
  },
  {
    name: 'feed-swallows-rows',
    bug: 'a quote that nobody closes swallows the rows behind it up to the next quote',
    file: 'ingest/feed/csv-format.ts',
    edits: [["if (joined.row && 'columns' in joined.row) return", 'if (joined.row) return']],
    unit: 'test/unit/ingest/feed/formats.test.ts',
  },
  {
    name: 'feed-drops-a-row',
    bug: 'of a record that does not close the first line is left out, and no word is said',
    file: 'ingest/feed/csv-format.ts',
    edits: [['return [1, { ...alone, row: { problem: unclosed } }];', 'return [1, { ...alone, row: undefined }];']],
    unit: 'test/unit/ingest/feed/formats.test.ts',
  },
  {
    name: 'feed-checks-no-sums',
    bug: 'rows for which ingest has given no outcome are not noticed',
    file: 'ingest/feed/feed-books.ts',
    edits: [['if (sum !== this.rows)', 'if (sum > this.rows)']],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-checks-no-bytes',
    bug: 'rows that a reader leaves out are not noticed',
    file: 'ingest/feed/feed-books.ts',
    edits: [['first.start !== offset || first.number !== line + 1', 'first.number <= line']],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-half-a-line',
    bug: 'a last line that is being written is fed as it stands: an id that never was is counted, and one is lost',
    file: 'ingest/feed/read-entries.ts',
    edits: [['const isTaken = options.lastLine ||', 'const isTaken = options.lastLine || true ||']],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-resumes-within-a-line',
    bug: 'the resume point goes behind a line that had no end, so that what it became is lost',
    file: 'ingest/feed/feed-record.ts',
    edits: [['const isOpen = !read.entry.last.isEnded;', 'const isOpen = false;']],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-equal-rows-are-one',
    bug: 'two clicks whose rows are equal get the same id, and one is lost',
    file: 'ingest/feed/row-ids.ts',
    edits: [['before === 0 ? digest', 'before >= 0 ? digest']],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-ids-by-place',
    bug: 'ids of rows go by where they stand in the bytes of a file',
    file: 'ingest/feed/click-of-row.ts',
    edits: [
      ['ids.idOf(text), clicked_at', 'ids.idOf(first.start + text), clicked_at'],
      ['export function clickOfRow({ row, text }', 'export function clickOfRow({ row, text, first }'],
    ],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-forgets-equal-rows',
    bug: 'after a restart equal rows are counted from the beginning: a click gets the id of another',
    file: 'ingest/feed/tail.ts',
    edits: [['if (entry.row && !this.#options.areCounted) this.ids.idOf(entry.text);', '']],
    unit: 'test/unit/ingest/feed/feed.test.ts',
  },
  {
    name: 'feed-counts-the-copy-again',
    bug: 'rows that a copy shares with what was read before are counted twice among equal rows',
    file: 'ingest/feed/read-entries.ts',
    edits: [['areCounted: true', 'areCounted: false']],
    unit: 'test/unit/ingest/feed/rotation.test.ts',
  },
  {
    name: 'feed-regrown-is-the-same',
    bug: 'a log that was truncated and has grown past the old place is taken for the same log',
    file: 'ingest/feed/content.ts',
    edits: [['if (!read.subarray(0, overlap.length).equals(overlap))', 'if (read.length < overlap.length)']],
    unit: 'test/unit/ingest/feed/rotation.test.ts',
  },
  {
    name: 'feed-no-copy',
    bug: 'what was written between the last look and the truncation is lost',
    file: 'ingest/feed/read-entries.ts',
    edits: [['[await copyOf(path, point),', '[undefined as string | undefined,']],
    unit: 'test/unit/ingest/feed/rotation.test.ts',
  },
  {
    name: 'feed-no-late-writers',
    bug: 'a renamed log is left as soon as another bears the name: late writers lose their rows',
    file: 'ingest/feed/read-entries.ts',
    edits: [['if (tail.isReplaced && Date.now() - tail.readMs >= options.rotatedQuietMs)', 'if (tail.isReplaced)']],
    unit: 'test/unit/ingest/feed/rotation.test.ts',
  },
  {
    name: 'feed-misses-a-rotation',
    bug: 'a log that came and went between two runs is never read',
    file: 'ingest/feed/read-entries.ts',
    edits: [['if (!isKnown) found.push', 'if (isKnown) found.push']],
    unit: 'test/unit/ingest/feed/rotation.test.ts',
  },
  {
    name: 'feed-misses-while-ingest-is-away',
    bug: 'a followed log is rotated several times while ingest is away, and only the last file is read',
    file: 'ingest/feed/read-entries.ts',
    edits: [['writtenMs >= last.content.seenMs &&', 'writtenMs < 0 &&']],
    unit: 'test/unit/ingest/feed/rotation.test.ts',
  },
  {
    name: 'feed-nuls-are-a-line',
    bug: 'the hole that a writer leaves in a truncated log is taken for the beginning of its next row',
    file: 'ingest/feed/line.ts',
    edits: [['return bytes[at] === 0 &&', 'return bytes[at] === 1 &&']],
    unit: 'test/unit/ingest/feed/line.test.ts',
  },
  {
    name: 'feed-seconds-are-ms',
    bug: 'seconds are taken for milliseconds: a click of today is one of 1970',
    file: 'ingest/feed/row-time.ts',
    edits: [['from: 1e9, ms: 1_000', 'from: 1e9, ms: 1']],
    unit: 'test/unit/ingest/feed/formats.test.ts',
  },
  {
    name: 'feed-status-of-anything',
    bug: 'a column that happens to be called status has clicks skipped',
    file: 'ingest/feed/mapping.ts',
    edits: [["if (isStated('status')) {", 'if (columnOf) {']],
    unit: 'test/unit/ingest/feed/formats.test.ts',
  },
  {
    name: 'hot-by-one-client',
    bug: 'one client alone makes an ad hot, and has the ads of others split',
    file: 'ingest/hot-ads/announcements.ts',
    edits: [['settings, othersPart * part)', 'settings, 0)']],
    unit: 'test/unit/ingest/hot-ads/detection.test.ts',
  },
  {
    name: 'hot-without-client',
    bug: 'who posts a click is not told to who looks for hot ads: all clients are one',
    file: 'ingest/app.ts',
    edits: [['append(lines, trace, client.network)', 'append(lines, trace)']],
    unit: 'test/unit/ingest/app.test.ts',
  },
  {
    name: 'hot-for-a-moment',
    bug: 'an ad is split for what was posted of it in ten seconds',
    file: 'ingest/hot-ads/announcements.ts',
    edits: [['!isSplit && !lasting.has', 'false && !lasting.has']],
    unit: 'test/unit/ingest/hot-ads/detection.test.ts',
  },
  {
    name: 'hot-after-a-pause',
    bug: 'the minutes for which an ad is hot are added up over pauses',
    file: 'ingest/hot-ads/hot-looks.ts',
    edits: [
      ['new Map(hot.map(', 'new Map([...this.#looks, ...hot.map('],
      ['?? 0) + 1)]));', '?? 0) + 1)] as const)]);'],
    ],
    unit: 'test/unit/ingest/hot-ads/detection.test.ts',
  },
  {
    name: 'hot-without-end',
    bug: 'nothing bounds how many ads begin to be split in an hour',
    file: 'ingest/hot-ads/announcements.ts',
    edits: [['mostNewPerHour - begunSince(', 'mostSplitAds - begunSince(']],
    unit: 'test/unit/ingest/hot-ads/detection.test.ts',
  },
  {
    name: 'split-never-final',
    bug: 'raw answers of an ad that was split are provisional for ever',
    file: 'query-api/answers/readings.ts',
    edits: [[' && (coveredUntil === null || part.to > coveredUntil)', '']],
    integration: 'test/integration/clickhouse/filters.test.ts',
  },
  {
    name: 'split-final-too-soon',
    bug: 'raw answers of an ad that is split are final though a partition of raw is behind the counts',
    file: 'query-api/store/raw-coverage.ts',
    edits: [['.every(([partition, at])', '.some(([partition, at])']],
    unit: 'test/unit/query-api/raw-coverage.test.ts',
  },
  {
    name: 'refusal-sends-all-back',
    bug: 'a refusal sends back what was refused, twice, however long it is',
    file: 'infra/broken-rule.ts',
    edits: [['return text.length > shownCharacters ?', 'return text.length > 1e9 ?']],
    unit: 'test/unit/query-api/refusal-sizes.test.ts',
  },
  {
    name: 'ended-body-holds-its-bytes',
    bug: 'a body that is ended for being slow goes on counting: its client, and in the end everybody, is refused for ever',
    file: 'ingest/body-budget.ts',
    edits: [
      ['this.release(body);\n    body.end(why);', 'this.unwatch(body);\n    body.bytes = 0;\n    body.end(why);'],
    ],
    unit: 'test/unit/ingest/body-budget.test.ts',
  },
  {
    name: 'newcomer-refused',
    bug: 'where there is no room for bodies the newest is refused, and slow ones stay: few connections have all refused',
    file: 'ingest/body-budget.ts',
    edits: [
      ['const idlest = this.#idlestOf(this.#largest(), body) ?? this.#idleOfAny(body);', 'const idlest = undefined;'],
    ],
    unit: 'test/processes/slow-bodies.test.ts',
  },
  {
    name: 'rate-of-a-whole-body',
    bug: 'a body is measured from its beginning: who has sent much may rest on it for as long as he likes',
    file: 'ingest/body-budget.ts',
    edits: [['body.paceBytes = 0;\n    }', '}']],
    unit: 'test/unit/ingest/body-budget.test.ts',
  },
  {
    name: 'forwarded-for-from-its-beginning',
    bug: 'the first entry of X-Forwarded-For is believed, which the client writes',
    file: 'infra/trusted-proxies.ts',
    edits: [
      [
        "const comma = forwardedFor!.lastIndexOf(',', end - 1);",
        "const comma = -1;\n    end = (forwardedFor + ',').indexOf(',');",
      ],
    ],
    unit: 'test/unit/infra/trusted-proxies.test.ts',
  },
  {
    name: 'forwarded-for-of-anybody',
    bug: 'X-Forwarded-For is believed of whoever connects',
    file: 'infra/http-clients.ts',
    edits: [
      [
        'return at(proxies.clientOf(remoteAddress,',
        "return at((headerText(headers['x-forwarded-for']) ?? '') || proxies.clientOf(remoteAddress,",
      ],
      ['const client = known.get(socket);\n      if (client) return client;\n', ''],
    ],
    unit: 'test/processes/slow-bodies.test.ts',
  },
  {
    name: 'rate-of-requests',
    bug: 'the rate limit counts requests: ten thousand clicks cost as much as one',
    file: 'ingest/app.ts',
    edits: [['Math.max(batch.lines.count + batch.rejectedTotal - costKib, 0)', '0']],
    unit: 'test/processes/slow-bodies.test.ts',
  },
  {
    name: 'metrics-count-as-requests',
    bug: 'health and metrics are counted against a limit: an orchestrator restarts what is merely asked too much',
    file: 'infra/http-guard.ts',
    edits: [['rateLimit === undefined || operationPaths.has(pathOf(raw.url))', 'rateLimit === undefined']],
    unit: 'test/processes/slow-bodies.test.ts',
  },
  {
    name: 'host-unchecked-on-one-route',
    bug: 'live events are told to any page whose name is resolved to loopback',
    file: 'infra/http-guard.ts',
    edits: [
      [
        'misdirected && !hostlessPaths.has(pathOf(raw.url))',
        "misdirected && !hostlessPaths.has(pathOf(raw.url)) && raw.url !== '/v1/live'",
      ],
    ],
    unit: 'test/unit/infra/http-hosts.test.ts',
  },
  {
    name: 'host-by-its-beginning',
    bug: 'a host that begins as one of ours is taken for it: localhost.example',
    file: 'infra/http-hosts.ts',
    edits: [['if (names.has(name) ||', 'if ([...names].some(each => name.startsWith(each)) ||']],
    unit: 'test/unit/infra/http-hosts.test.ts',
  },
  {
    name: 'one-client-has-the-buffer',
    bug: 'while Kafka is slow, one client fills the buffer of clicks, and all others are refused',
    file: 'ingest/waiting-clicks.ts',
    edits: [['if (isShareFull && waiting', 'if (waiting < 0 && isShareFull && waiting']],
    unit: 'test/unit/ingest/app.test.ts',
  },
  {
    name: 'pieces-kept-as-they-come',
    bug: 'a body that is sent byte by byte takes a hundred times the memory it is counted with',
    file: 'ingest/body-pieces.ts',
    edits: [['piece.length >= smallPieceBytes ||', 'piece.length >= 0 ||']],
    unit: 'test/unit/ingest/body-pieces.test.ts',
  },
  {
    name: 'first-client-first',
    bug: 'large bodies are judged in the order in which they came: who posts many keeps all others waiting for them',
    file: 'ingest/fair-turns.ts',
    edits: [
      [
        'waiting.delete(owner);\n      if (tasks.length > 0) waiting.set(owner, tasks);',
        'if (tasks.length === 0) waiting.delete(owner);',
      ],
    ],
    unit: 'test/unit/ingest/fair-turns.test.ts',
  },
  {
    name: 'replica-behind-is-read',
    bug: 'a node that is behind is read like the others: numbers fall back to what they were',
    file: 'query-api/replicas/known-nodes.ts',
    edits: [['&& this.#lags.lagMs(of.node.name) <= this.#options.maxLagMs;', ';']],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'lead-forgotten-with-its-node',
    bug: 'how far a node was is forgotten when it goes away, so the one that is behind is the furthest',
    file: 'query-api/replicas/catching-up.ts',
    edits: [['const furthest = new Map(looks.at(-1)?.furthest);', 'const furthest = new Map<string, number>();']],
    unit: 'test/unit/query-api/replicas/catching-up.test.ts',
  },
  {
    name: 'standstill-counts-as-lag',
    bug: 'replicas fall behind each other while nothing comes in: without a sink, none is read after ten seconds',
    file: 'query-api/replicas/catching-up.ts',
    edits: [['if (last === undefined || !hasPassed(last.furthest, furthest)) {', '{']],
    unit: 'test/unit/query-api/replicas/catching-up.test.ts',
  },
  {
    name: 'incomplete-replica-is-read',
    bug: 'a node that was filled from a log that had lost its beginning is read: counts of before are 0, and final',
    file: 'query-api/replicas/known-nodes.ts',
    edits: [['(own.get(key) ?? from) > from', '(own.get(key) ?? from) < from']],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'answer-of-two-replicas',
    bug: 'each statement goes to the node that is preferred at that moment: an answer mixes two of them',
    file: 'query-api/replicas/replicas.ts',
    edits: [
      [
        'chosen.getStore() ?? choiceOf(ofEach(watches, watch => watch.choose()))',
        'choiceOf(ofEach(watches, watch => watch.choose())) ?? chosen.getStore()',
      ],
    ],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'replica-per-statement',
    bug: 'each statement takes any node that may be read: an answer mixes several',
    file: 'query-api/replicas/replicas.ts',
    edits: [
      [
        'chosen.getStore() ?? choiceOf(ofEach(watches, watch => watch.choose()))',
        `choiceOf(ofEach(watches, watch => {
          const { name } = watch.nodes[Math.floor(Math.random() * watch.nodes.length)] as WatchedNode;
          try {
            return watch.choose(new Set([name]));
          } catch {
            return watch.choose();
          }
        }))`,
      ],
    ],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'changes-asked-for-twice',
    bug: 'a request that changes something is done again on another node, though the first may have done it',
    file: 'query-api/http/failover.ts',
    edits: [['if (!isRead || reply.sent', 'if (reply.sent']],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'waits-for-a-node-that-hangs',
    bug: 'a request waits for a node that hangs, for as long as that takes',
    file: 'query-api/replicas/replicas.ts',
    edits: [['askedBy(untilGone(gone.signal, ', 'askedBy(untilGone(new AbortController().signal, ']],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'given-up-turn-goes-on',
    bug: 'work whose node has gone is given up, but goes on beside the next attempt: a job restates a click twice',
    file: 'query-api/replicas/replicas.ts',
    edits: [
      [
        'return await chosen.run(choice, work);',
        `const { promise, reject } = Promise.withResolvers<never>();
          gone.signal.addEventListener('abort', () => reject(gone.signal.reason));
          return await Promise.race([chosen.run(choice, work), promise]);`,
      ],
    ],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'seen-on-another-node',
    bug: 'rows that one node has shown to the job runner are expected on the next node: a job reads what was there before its own writes',
    file: 'query-api/replicas/turns.ts',
    edits: [['if (nodes.join() !== seenOn) {', 'if (seenOn === undefined) {']],
    unit: 'test/unit/query-api/replicas/turns.test.ts',
  },
  {
    name: 'seals-not-waited-for',
    bug: 'a job runner that changes to another node waits for job results there, but not for requests, seals and filters',
    file: 'query-api/replicas/turns.ts',
    edits: [
      ['jobTopics.some(name => name === topicName)', "topicName === 'job-results'"],
      ['own.length < nodes.length * jobTopics.length', 'own.length < 1'],
    ],
    unit: 'test/unit/query-api/replicas/turns.test.ts',
  },
  {
    name: 'any-json-is-a-filter',
    bug: 'whatever is JSON is taken for a stored filter: a record of something else becomes a filter without an id',
    file: 'aggregator/sink/result-rows.ts',
    edits: [['if (!Value.Check(FilterRow, row))', "if (typeof row !== 'object')"]],
    unit: 'test/unit/aggregator/result-rows.test.ts',
  },
  {
    name: 'restated-counts-of-all-shards',
    bug: 'a node takes the restated counts of all shards: summed over shards they count more than once',
    file: 'aggregator/sink/result-rows.ts',
    edits: [["kind === 'ad-minute' && !holds(", "kind === 'ad-minute' && Number.isNaN("]],
    unit: 'test/unit/aggregator/result-rows.test.ts',
  },
  {
    name: 'unserved-asked-of-another-node',
    bug: 'a read that has had no place, or was given up, counts as its node’s failure: the others get all that one has refused',
    file: 'query-api/replicas/replicas.ts',
    edits: [['error instanceof Unserved || error.cause === undefined', 'false']],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'kinds-forgotten-between-nodes',
    bug: 'where there are several nodes, raw reads take the places of counts',
    file: 'query-api/replicas/replicas.ts',
    edits: [
      [
        'whileAsked(current().clickhouse.query(sql, params, options))',
        'whileAsked(current().clickhouse.query(sql, params))',
      ],
    ],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'difference-forgotten-with-its-finder',
    bug: 'a runner of jobs that succeeds another says that replicas are equal until it has come around again',
    file: 'query-api/jobs/replicas/check-loop.ts',
    edits: [['if (!isBegun) known.restore(await foundBefore());', 'if (!isBegun) await foundBefore();']],
    unit: 'test/unit/query-api/replicas/check-loop.test.ts',
  },
  {
    name: 'one-shard-told-as-all',
    bug: 'a statement reads the tables of one shard: half of the clicks are told as all',
    file: 'infra/clickhouse/over-shards.ts',
    edits: [['const addresses = nodes.map(', 'const addresses = nodes.slice(0, 1).map(']],
    unit: 'test/unit/infra/clickhouse/over-shards.test.ts',
  },
  {
    name: 'subquery-by-each-node',
    bug: 'what stands in IN and JOIN is worked out by each node from what it has itself, or asked of all by all',
    file: 'infra/clickhouse/over-shards.ts',
    edits: [['prefer_global_in_and_join=1, ', '']],
    unit: 'test/unit/infra/clickhouse/over-shards.test.ts',
  },
  {
    name: 'half-is-enough',
    bug: 'a server whose profile says so answers without the shards that are away',
    file: 'infra/clickhouse/over-shards.ts',
    edits: [[', skip_unavailable_shards=0', '']],
    unit: 'test/unit/infra/clickhouse/over-shards.test.ts',
  },
  {
    name: 'password-in-an-error',
    bug: 'a server quotes the statement that it does not understand, and with it the password by which nodes read each other',
    file: 'infra/clickhouse/over-shards.ts',
    edits: [['if (hidden(at.message) === at.message) continue;', 'if (at !== undefined) continue;']],
    unit: 'test/unit/infra/clickhouse/over-shards.test.ts',
  },
  {
    name: 'table-without-its-mark',
    bug: 'a statement that forgets to say that a table is in shards is answered from one of them',
    file: 'infra/clickhouse/sharded-tables.ts',
    edits: [['if (unmarked !== undefined) throw', 'if (unmarked === null) throw']],
    unit: 'test/unit/infra/clickhouse/over-shards.test.ts',
  },
  {
    name: 'any-server-at-the-address',
    bug: 'nodes read whatever ClickHouse they find at the address of another: rows are told twice, or those of a stranger',
    file: 'infra/clickhouse/over-shards.ts',
    edits: [["if ((row?.name ?? '') === (incarnationOf(other.name) ?? '')) continue;", 'if (row !== null) continue;']],
    unit: 'test/unit/infra/clickhouse/over-shards.test.ts',
  },
  {
    name: 'node-of-other-shards-is-read',
    bug: 'a node that was filled when there were fewer shards is read with all it has: clicks count twice',
    file: 'query-api/replicas/replica-watch.ts',
    edits: [['if (stray !== undefined) throw', 'if (stray === null) throw']],
    unit: 'test/unit/query-api/replicas/sharded-replicas.test.ts',
  },
  {
    name: 'wrong-node-blamed',
    bug: 'a node that another does not reach is not blamed, but the one that was asked: there is no other to go on with',
    file: 'query-api/replicas/replicas.ts',
    edits: [['error instanceof NodeUnreached ? error.node : ', '']],
    unit: 'test/unit/query-api/replicas/sharded-replicas.test.ts',
  },
  {
    name: 'failure-of-another-node',
    bug: 'a node of the second shard does not answer, and that of the first is given up for it',
    file: 'query-api/replicas/replicas.ts',
    edits: [['nodes.map(blamed) : nodes', 'nodes : nodes']],
    unit: 'test/unit/query-api/replicas/sharded-replicas.test.ts',
  },
  {
    name: 'given-up-at-the-first-failure',
    bug: 'each node of a shard has failed once, as on a busy machine, and the client is told that the shard is away',
    file: 'query-api/http/failover.ts',
    edits: [['failed.size > 0 && !isSecondRound', 'failed.size > 99']],
    unit: 'test/unit/query-api/replicas/sharded-replicas.test.ts',
  },
  {
    name: 'one-node-asked-for-recounts',
    bug: 'only one shard is asked which restatements are visible: half of one is told as the count',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [['const asked = nodes();', 'const asked = nodes().slice(0, 1);']],
    unit: 'test/simulation/restated-over-shards.test.ts',
  },
  {
    name: 'nodes-that-differ-are-read',
    bug: 'counts are read while nodes of two shards show different restatements',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [
      ['const areSame = others.every(({ which }) => which === first.which);', 'const areSame = others.length > 0;'],
    ],
    unit: 'test/simulation/restated-over-shards.test.ts',
  },
  {
    name: 'restated-in-another-shard-while-read',
    bug: 'nobody looks whether a restatement became visible in another shard while counts were read',
    file: 'query-api/store/sql/stated-rows.ts',
    edits: [
      [
        'if (!differ(after) && after.visible === before.visible && after.which === before.which) return found;',
        'if (after.visible === before.visible) return found;',
      ],
    ],
    unit: 'test/simulation/restated-over-shards.test.ts',
  },
  {
    name: 'own-writes-seen-in-one-shard',
    bug: 'who runs the jobs waits until one shard shows what he has written: of another he reads what was there before',
    file: 'query-api/jobs/writing/job-writer.ts',
    edits: [['return newest.every(', 'return newest.some(']],
    unit: 'test/unit/query-api/job-log.test.ts',
  },
  {
    name: 'block-of-some-shards',
    bug: 'an hour is answered from what is worked out beforehand though one shard has not done it: its clicks are missing',
    file: 'query-api/store/rollup/blocks.ts',
    edits: [['([, n]) => n === shards)', '([, n]) => n > 0)']],
    unit: 'test/unit/query-api/rollup/blocks.test.ts',
  },
  {
    name: 'attempts-kept-for-ever',
    bug: 'each attempt to wait for a job leaves its connection to be closed at the end: a few days without brokers fill the memory',
    file: 'infra/kafka/append-watch.ts',
    edits: [["      closing.signal.removeEventListener('abort', closeWaits);\n", '']],
    unit: 'test/unit/infra/kafka/append-watch.test.ts',
  },
  {
    name: 'joining-sink-goes-on',
    bug: 'a sink that is to end while it is still joining lets what has joined go on: into the new tables of an emptied node',
    file: 'aggregator/sink/sink.ts',
    edits: [["  signal.addEventListener('abort', closeJoined);\n", '  void closeJoined;\n']],
    unit: 'test/simulation/joining-sink.test.ts',
  },
  {
    name: 'watched-once-joined',
    bug: 'whether a node was emptied is looked at only once its sink has joined all groups, which may take long',
    file: 'aggregator/sink/while-filled.ts',
    edits: [
      ['  const watching = watch();\n  try {', '  let watching = Promise.resolve();\n  try {'],
      ['    node.onRunning(opened);', '    watching = watch();\n    node.onRunning(opened);'],
    ],
    unit: 'test/unit/aggregator/while-filled.test.ts',
  },
  {
    name: 'top-of-one-shard',
    bug: 'the kept top list of one shard is told as that of all: an ad that is second in each is left out',
    file: 'query-api/store/rollup/history.ts',
    edits: [['if (shards > 1) return undefined;', '']],
    integration: 'test/integration/clickhouse/over-shards.test.ts',
  },
  {
    name: 'reset-passed-on',
    bug: 'a native connection that a client breaks off is broken off towards the embedded ClickHouse: it ends itself',
    file: 'infra/embedded/tcp-relay.ts',
    edits: [['server.resume();\n      server.end();', 'server.resetAndDestroy();']],
    unit: 'test/unit/infra/tcp-relay.test.ts',
  },
  {
    name: 'foreign-partition-inserted',
    bug: 'a node takes the clicks of all shards: summed over shards each counts as often as there are shards',
    file: 'aggregator/sink/node.ts',
    edits: [['shardOf(partition, topology.shards) === shard', 'shardOf(partition, topology.shards) >= 0']],
    unit: 'test/unit/aggregator/held-offsets.test.ts',
  },
  {
    name: 'emptied-node-goes-on',
    bug: 'the sink of a node that was emptied goes on where it stood: the node lacks all before that',
    file: 'aggregator/sink/held-offsets.ts',
    edits: [['if (of !== incarnation ||', 'if (of === undefined ||']],
    unit: 'test/simulation/emptied-node.test.ts',
  },
  {
    name: 'checker-ignores-a-column',
    bug: 'replicas are compared without a column, in which they may differ for ever',
    file: 'query-api/store/replicas/replica-digests.ts',
    edits: [
      ['sum(sipHash64(*))', "sum(sipHash64(* EXCEPT('^user_id$')))"],
      ['sum(cityHash64(*))', "sum(cityHash64(* EXCEPT('^user_id$')))"],
    ],
    integration: 'test/integration/clickhouse/replica-check.test.ts',
  },
  {
    name: 'abandoned-read-goes-on',
    bug: 'a read is neither cut off nor ended in the server when its client goes',
    file: 'infra/clickhouse/reads.ts',
    edits: [
      ['...(signal && { abort_signal: signal }),', ''],
      ['void end(control, sent.query_id).finally(giveBack);', 'giveBack();'],
    ],
    integration: 'test/integration/clickhouse/reads-that-end.test.ts',
  },
  {
    name: 'place-free-before-the-server',
    bug: 'the place of an abandoned read is free before the server has ended it: who asks and goes starts as many as he likes',
    file: 'infra/clickhouse/reads.ts',
    edits: [
      ['if (isRunning) void end(control, sent.query_id).finally(giveBack);\n        else giveBack();', 'giveBack();'],
      ['...whoGoesEndsIt,', ''],
    ],
    integration: 'test/integration/clickhouse/reads-that-end.test.ts',
  },
  {
    name: 'raw-in-the-places-of-counts',
    bug: 'raw reads take the places of counts',
    file: 'infra/clickhouse/reads.ts',
    edits: [['createTickets(places.raw)', 'createTickets(places.counts)']],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'ticket-for-raw-reads-alone',
    bug: 'who asks for raw clicks reads how far counting is in the places of counts: who asks and goes keeps others from them',
    file: 'infra/clickhouse/reads.ts',
    edits: [["asked === 'counts' && asker?.ticket !== undefined ? 'raw' : asked", 'asked']],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'ticket-free-before-its-statements',
    bug: 'the place of a request is free when that is over, whatever of it goes on in the server',
    file: 'infra/clickhouse/tickets.ts',
    edits: [['ticket.aborted && statements === 0', 'ticket.aborted']],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'ticket-free-between-statements',
    bug: 'a request stands in line for each of its statements: half of an answer is read, and waits for the other half',
    file: 'infra/clickhouse/tickets.ts',
    edits: [['ticket.aborted && statements === 0', 'statements === 0']],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'ticket-lost-with-a-failed-statement',
    bug: 'a statement that fails in the server is held to go on: the place of its request is never free again',
    file: 'infra/clickhouse/reads.ts',
    edits: [['.finally(giveBack);\n        else giveBack();', '.finally(giveBack);']],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'ticket-until-the-answer-is-taken',
    bug: 'a request has its place until its client has taken the answer: two that take none keep everybody from raw clicks',
    file: 'infra/http-askers.ts',
    edits: [
      [
        'clearTimeout(deadline);\n    answered?.abort(isAnswered);\n    done();',
        'clearTimeout(deadline);\n    done();',
      ],
    ],
    unit: 'test/unit/infra/http-askers.test.ts',
  },
  {
    name: 'raw-side-by-side-under-one-ticket',
    bug: 'there are more raw reads in the server than places: a request with a comparison sends two at once',
    file: 'infra/clickhouse/tickets.ts',
    edits: [['raw: lineOf(1)', 'raw: lineOf(2)']],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'shared-in-the-line-of-raw',
    bug: 'what is read for several stands in the line of raw reads if the first of them does: counts wait behind them',
    file: 'infra/asking.ts',
    edits: [
      [
        'const asker = { client, isOperation, isProcess, signal',
        'const asker = { ...currentAsker(), client, isOperation, isProcess, signal',
      ],
    ],
    unit: 'test/unit/infra/clickhouse/tickets.test.ts',
  },
  {
    name: 'ticket-kept-at-the-node-before',
    bug: 'a request that goes on at another node keeps its place at the first',
    file: 'query-api/replicas/replicas.ts',
    edits: [["over.abort('the reading is over');", '']],
    unit: 'test/unit/query-api/replicas/replicas.test.ts',
  },
  {
    name: 'raw-request-unannounced',
    bug: 'a way to ask for raw clicks is forgotten: of that request all but raw is read in the places of counts',
    file: 'query-api/http/raw-requests.ts',
    edits: [["['user_id', 'ip', 'filter']", "['user_id', 'filter']"]],
    unit: 'test/unit/query-api/raw-requests.test.ts',
  },
  {
    name: 'shared-answer-ends-with-the-first',
    bug: 'what several clients wait for is given up when the first of them goes',
    file: 'infra/asking.ts',
    edits: [['if (waiting === 0) end.abort', 'if (waiting >= 0) end.abort']],
    unit: 'test/unit/infra/asking.test.ts',
  },
  {
    name: 'live-ends-with-the-first',
    bug: 'who listens first is who all events are read for: when he goes, the others get none',
    file: 'query-api/routes/live/live-feed.ts',
    edits: [['running ??= forNobody(run)', 'running ??= run()']],
    unit: 'test/unit/query-api/live/live-feed.test.ts',
  },
  {
    name: 'line-without-turns',
    bug: 'who waits for a place waits behind all that another client has asked for',
    file: 'infra/clickhouse/places.ts',
    edits: [['lines.delete(client);\n      lines.set(client, line);', '']],
    unit: 'test/unit/infra/places.test.ts',
  },
  {
    name: 'listeners-keep-their-places',
    bug: 'clients that came first keep everybody else from listening',
    file: 'query-api/routes/live/subscribers.ts',
    edits: [['subscribers.size >= maxClients && !makeRoomFor(client)', 'subscribers.size >= maxClients']],
    unit: 'test/unit/query-api/live/subscribers.test.ts',
  },
  {
    name: 'trickled-exports-keep-their-places',
    bug: 'exports that are hardly taken keep everybody else from exporting',
    file: 'query-api/routes/exports/export-slots.ts',
    edits: [['>= limit && !makeRoom()', '>= limit']],
    unit: 'test/unit/query-api/exports/export-slots.test.ts',
  },
  {
    name: 'export-goes-on-untaken',
    bug: 'an export that nobody takes is read, and has its place, until its time is over',
    file: 'query-api/routes/exports/export-slots.ts',
    edits: [["if (one.pace.isSlowOver(patienceSeconds)) cut(one, 'slow');", '']],
    unit: 'test/unit/query-api/exports/export-slots.test.ts',
  },
  {
    name: 'lease-without-fence',
    bug: 'job runners have a transactional id each: one that was paused goes on writing beside its successor',
    file: 'query-api/log/job-log.ts',
    edits: [
      [
        'await openTransactionalProducer(kafka, names.jobRunner, limits)',
        'await openTransactionalProducer(kafka, names.jobRunner + Math.random(), limits)',
      ],
    ],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'job-runner-reads-before-it-fences',
    bug: 'a term reads before it has fenced the runner before it, whose commit may still come: a click is restated twice',
    file: 'query-api/jobs/runner/term.ts',
    edits: [
      [
        'const log = opening.use(await deps.openLog());\n  const row = await announceTerm(log, deps, over);',
        `const row = { since: deps.now(), instance: randomUUID(), host: deps.host, seen_at: deps.now() };
  const fence = async () => {
    const opened = await deps.openLog();
    await opened.write([{ kind: 'job-runner', rows: [row] }]);
    return opened;
  };
  let fenced: Promise<OpenedJobLog> | undefined;
  const log = opening.use({
    write: async (entries: readonly JobEntry[]) => (await (fenced ??= fence())).write(entries),
    [Symbol.asyncDispose]: async () => (await fenced)?.[Symbol.asyncDispose](),
  });`,
      ],
    ],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'term-reads-before-it-is-shown',
    bug: 'a term begins once it is announced, before ClickHouse shows what runners before have committed',
    file: 'query-api/jobs/runner/term.ts',
    edits: [
      ['return (latest?.since ?? 0) >= row.since;', 'return true;'],
      ['if (latest?.instance === row.instance) return row;', 'return row;'],
    ],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'job-done-before-its-results-are-committed',
    bug: 'what a job says is written in transactions of its own, its end first: a kill in between leaves clicks uncounted',
    file: 'query-api/log/job-log.ts',
    edits: [
      [
        'before.then(() => producer.commit({ sends }));',
        'before.then(async () => { for (const entry of [...entries].reverse()) await producer.commit({ sends: transactionSends([entry], names) }); });',
      ],
    ],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'fenced-and-in-office',
    bug: 'a job runner whose write was refused goes on as if it were active, and begins no other term',
    file: 'query-api/jobs/runner/term.ts',
    edits: [['      failed.abort(error);\n', '']],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'office-kept-without-asking',
    bug: 'a runner that keeps its lease in a rebalance believes in its term, which another may have fenced meanwhile: nobody works until its next write',
    file: 'query-api/jobs/runner/lease.ts',
    edits: [['if (isHeld && current) current.renew();', 'if (isHeld && current) return;']],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'term-not-doubted-while-it-begins',
    bug: 'a rebalance while a term begins is no reason to doubt it: one that was fenced meanwhile is found out half a minute later',
    file: 'query-api/jobs/runner/lease.ts',
    edits: [['    if (isDoubted) void term.renew();\n', '']],
    unit: 'test/unit/query-api/lease.test.ts',
  },
  {
    name: 'successor-hears-late',
    bug: 'a runner says every 1.5 s that it is there, and hears as late that the lease is its own',
    file: 'query-api/jobs/runner/lease.ts',
    edits: [['const heartbeatMs = 500;', 'const heartbeatMs = 1_500;']],
    unit: 'test/simulation/job-lease.test.ts',
  },
  {
    name: 'refresh-aborts-itself',
    bug: 'the dashboard gives up an answer that is on its way for the same question again: a store slower than a timer shows nothing',
    file: 'query-api/dashboard/asking.js',
    edits: [['      if (running) isWantedAgain ||= isNews;\n      else ask();', '      giveUp();\n      ask();']],
    unit: 'test/unit/query-api/dashboard/asking.test.ts',
  },
  {
    name: 'old-answer-under-a-new-question',
    bug: 'the dashboard shows an answer to the question before: numbers of one range under another',
    file: 'query-api/dashboard/asking.js',
    edits: [['if (!own.signal.aborted) on.answer(content);', 'on.answer(content);']],
    unit: 'test/unit/query-api/dashboard/asking.test.ts',
  },
  {
    name: 'range-widened-to-hours',
    bug: 'the dashboard widens a range to whole hours of UTC, and shows clicks that nobody has asked for',
    file: 'query-api/dashboard/range.js',
    edits: [
      [
        'return ranged(Math.floor(begin / minute) * minute, Math.ceil(until / minute) * minute, false);',
        'return ranged(Math.floor(begin / hour) * hour, Math.ceil(until / hour) * hour, false);',
      ],
    ],
    unit: 'test/unit/query-api/dashboard/range.test.ts',
  },
  {
    name: 'range-by-an-inherited-name',
    bug: 'an address that names a range as every object names a function of its own ends the page',
    file: 'query-api/dashboard/range.js',
    edits: [['Object.hasOwn(known, name) ? known[name] : undefined', 'known[name]']],
    unit: 'test/unit/query-api/dashboard/range.test.ts',
  },
  {
    name: 'days-of-24-hours',
    bug: 'a day of the dashboard ends 24 hours after it began, also where clocks are changed',
    file: 'query-api/dashboard/range.js',
    edits: [
      [
        'return ranged(startOfDay(first, zone), last ? startOfDay(last, zone) : end, last === undefined);',
        'return ranged(startOfDay(first, zone), last ? startOfDay(first, zone) + day : end, last === undefined);',
      ],
    ],
    unit: 'test/unit/query-api/dashboard/range.test.ts',
  },
  {
    name: 'day-by-the-offset-of-now',
    bug: 'where a day begins is worked out by the offset of another moment: an hour off on days of a change',
    file: 'query-api/dashboard/zone.js',
    edits: [
      [
        '    const at = Math.max(from, midnight - offset);\n    if (at < to) return at;',
        '    return midnight - offset + 0 * (from + to);',
      ],
    ],
    unit: 'test/unit/query-api/dashboard/range.test.ts',
  },
  {
    name: 'missing-minutes-as-zeroes',
    bug: 'minutes that a live event does not tell are shown as having had no clicks',
    file: 'query-api/dashboard/series.js',
    edits: [['if (point === undefined) return undefined;', 'if (point === undefined) continue;']],
    unit: 'test/unit/query-api/dashboard/series.test.ts',
  },
  {
    name: 'series-cut-at-borders',
    bug: 'the first point of a series begins at the hour before the range, so its bars say more than the range has',
    file: 'query-api/http/time-zone.ts',
    edits: [['return { range, step: [range.from, ...within] };', 'return { range, step: within };']],
    unit: 'test/unit/query-api/time-zone.test.ts',
  },
  {
    name: 'zone-by-any-spelling',
    bug: 'a formatter is kept for each way in which a client writes the name of a zone: memory for ever',
    file: 'query-api/http/time-zone.ts',
    edits: [['tzOffset(known, new Date(at))', 'tzOffset(name, new Date(at))']],
    unit: 'test/unit/query-api/time-zone.test.ts',
  },
  {
    name: 'signal-stays-with-the-launcher',
    bug: 'on an older Node a signal ends the launcher alone: the program goes on, and its port is taken',
    file: 'infra/launch.js',
    edits: [["for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));\n", '']],
    unit: 'test/unit/infra/adclicks-server.test.ts',
  },
  {
    name: 'option-nobody-reads',
    bug: 'a setting given as an option is not in force: the process runs with the default, and says nothing',
    file: 'infra/program.ts',
    edits: [
      [
        'Object.assign(process.env, environmentOf(command, groupsOf(schema), process.argv, process.env));',
        'environmentOf(command, groupsOf(schema), process.argv, process.env);',
      ],
    ],
    unit: 'test/unit/infra/adclicks-server.test.ts',
  },
  {
    name: 'settings-of-another-program',
    bug: '`npm start` takes the settings of another program for those of the job runner: what it reads alone is neither listed nor checked',
    file: 'infra/embedded/main.ts',
    edits: [["settingsOf('jobs')", "settingsOf('query-api')"]],
    unit: 'test/unit/embedded/command-line.test.ts',
  },
  {
    name: 'stopped-partition-is-young',
    bug: 'a partition that nobody counts is not told as stalled',
    file: 'query-api/answers/stalled-partitions.ts',
    edits: [['at - row.appended_at > oldMs', 'at - row.appended_at > 1_000 * oldMs']],
    unit: 'test/unit/query-api/stalled-partitions.test.ts',
  },
  {
    name: 'catching-up-is-stalled',
    bug: 'a partition that is being caught up with is told as stalled',
    file: 'query-api/answers/stalled-partitions.ts',
    edits: [['known?.position === position ? known : { position, at }', 'known ?? { position, at }']],
    unit: 'test/unit/query-api/stalled-partitions.test.ts',
  },
  {
    name: 'optional-field-costs-the-click',
    bug: 'an address with a port costs the whole click, which an advertiser pays for',
    file: 'ingest/click-body.ts',
    unit: 'test/unit/ingest/click-body.test.ts',
    edits: [["if (!isIp) drop(dropped, 'ip', ip,", "if (!isIp) return invalid('ip', ip,"]],
  },
  {
    name: 'bad-event-id-left-out',
    bug: 'an event id that breaks a rule is left out like an address: each copy of the click counts',
    file: 'ingest/click-body.ts',
    unit: 'test/unit/ingest/click-body.test.ts',
    edits: [
      [
        'const eventId = givenId ?? clickId;',
        'const eventId = isText(givenId, limits.eventIdLength) ? givenId : clickId;',
      ],
    ],
  },
  {
    name: 'any-two-letters-are-a-country',
    bug: 'clicks that are taken over as bytes bring any two letters as their country, as parsed ones do not',
    file: 'ingest/plain-click.ts',
    unit: 'test/unit/ingest/click-batch.test.ts',
    edits: [['if (!isCountry(source[valueStart]!, source[valueStart + 1]!)) return -1;', '']],
  },
  {
    name: 'country-by-odd-capitals',
    bug: 'a letter beyond ASCII becomes a capital of ASCII: a dotless i makes Indonesia of what is none',
    file: 'ingest/country.ts',
    unit: 'test/unit/ingest/country.test.ts',
    edits: [
      [
        'if (!/^[A-Za-z][A-Za-z0-9]$/.test(text)) return undefined;',
        'if (text.toUpperCase().length !== 2) return undefined;',
      ],
    ],
  },
  {
    name: 'former-codes-not-found',
    bug: 'who asks for GB is not given the clicks that were counted as UK before',
    file: 'ingest/country.ts',
    unit: 'test/unit/ingest/country.test.ts',
    edits: [['(of === country ? [code] : [])', '(of === code ? [code] : [])']],
  },
  {
    name: 'length-in-utf-16',
    bug: 'texts are measured in UTF-16: an id of 100 emoji is too long for 128 characters',
    file: 'ingest/click.ts',
    unit: 'test/unit/ingest/click-body.test.ts',
    edits: [['return codePoints <= maxLength;', 'return text.length <= maxLength;']],
  },
  {
    name: 'mark-costs-the-first-line',
    bug: 'a byte order mark before a body, or between two files in it, costs the click behind it',
    file: 'ingest/click-batch.ts',
    unit: 'test/unit/ingest/told-in-answers.test.ts',
    edits: [['body[at + 2] === 0xbf ? at + 3 : at', 'body[at + 2] === 0xbf ? at : at']],
  },
  {
    name: 'unknown-fields-unsaid',
    bug: 'fields that no click has vanish without a word',
    file: 'ingest/click-batch.ts',
    unit: 'test/unit/ingest/told-in-answers.test.ts',
    edits: [['notes.ignore(json);', '']],
  },
  {
    name: 'notes-of-the-request-before',
    bug: 'an answer tells of fields that another client has posted',
    file: 'ingest/click-batch.ts',
    unit: 'test/unit/ingest/told-in-answers.test.ts',
    edits: [['notes.clear();', '']],
  },
  {
    name: 'names-without-number',
    bug: 'an answer names as many unknown fields as somebody posts',
    file: 'ingest/click-notes.ts',
    unit: 'test/unit/ingest/told-in-answers.test.ts',
    edits: [['if (this.#ignored.size === maxFieldsTold) return;', '']],
  },
  {
    name: 'strict-takes-all',
    bug: 'who asks for strict is told what was left out when it is too late',
    file: 'ingest/click-batch.ts',
    unit: 'test/unit/ingest/told-in-answers.test.ts',
    edits: [
      [
        'return isStrict ? strictly(verdict, json) : verdict;',
        'return isStrict && !verdict.ok ? strictly(verdict, json) : verdict;',
      ],
    ],
  },
  {
    name: 'schema-words-to-people',
    bug: 'people are told what a validator says to its author: must NOT have additional properties',
    file: 'infra/problem.ts',
    unit: 'test/unit/error-sentences.test.ts',
    edits: [['ruleOf(first))', "first.message ?? 'is wrong')"]],
  },
  {
    name: 'dots-lead-elsewhere',
    bug: 'the client asks for the click "..", and is given what another address answers',
    file: 'query-api/client/request.ts',
    unit: 'test/unit/query-api/client/client.test.ts',
    edits: [["if (value === '.' || value === '..')", "if (value === '.' && value === '..')"]],
  },
  {
    name: 'timer-of-a-stream-that-never-began',
    bug: 'a stream of lines that cannot begin leaves its timer: the program does not end for half a minute',
    file: 'query-api/client/client.ts',
    unit: 'test/unit/query-api/client/client.test.ts',
    edits: [['stop: () => clearTimeout(timer),', 'stop: () => undefined,']],
  },
  {
    name: 'times-without-seconds',
    bug: 'adclicks prints times that no service takes',
    file: 'query-api/cli/style.ts',
    unit: 'test/unit/query-api/cli/text.test.ts',
    edits: [["iso.replace(/\\.000Z$/, 'Z')", "iso.replace(/(:00)?\\.000Z$/, 'Z')"]],
  },
  {
    name: 'range-cut-short',
    bug: 'an end within a minute is taken for the begin of that minute: its clicks are missing from the count',
    file: 'query-api/cli/cli.ts',
    unit: 'test/unit/query-api/cli/text.test.ts',
    edits: [['Math.ceil(at / minuteMs)', 'Math.floor(at / minuteMs)']],
  },
  {
    name: 'slow-start-is-ended',
    bug: 'a broker that works on a busy machine is ended for being slow, and begins anew',
    file: 'infra/embedded/start-wait.ts',
    unit: 'test/processes/start-wait.test.ts',
    edits: [['if (signs === undefined || signs !== seen) stoodMs = 0;', '']],
  },
  {
    name: 'dead-start-is-waited-for',
    bug: 'npm start waits to the limit for a broker that does nothing any more',
    file: 'infra/embedded/start-wait.ts',
    unit: 'test/processes/start-wait.test.ts',
    edits: [['if (stoodMs >= standstillMs)', 'if (stoodMs >= 1e9)']],
  },
  {
    name: 'export-of-any-outcome',
    bug: 'who exports the lines that are in no count gets all of them, also those that were counted since',
    file: 'query-api/routes/exports/quarantine-pages.ts',
    integration: 'test/integration/clickhouse/quarantine-export.test.ts',
    edits: [['|| line.outcome === filter.outcome', '|| line.outcome !== undefined']],
  },
  {
    name: 'export-without-recounts',
    bug: 'an export looks for recounts of other minutes than those of its lines: all that were counted since still wait',
    file: 'query-api/store/quarantine.ts',
    integration: 'test/integration/clickhouse/quarantine-export.test.ts',
    edits: [['minuteMs / 1_000}, ', 'minuteMs}, ']],
  },
  {
    name: 'earlier-export-is-foreign',
    bug: 'an export of the quarantine by an earlier release is fed as a file of somebody else, with its apostrophes',
    file: 'ingest/feed/exported-row.ts',
    unit: 'test/unit/ingest/feed/laws.test.ts',
    edits: [['[quarantineColumns, earlierQuarantineColumns]', '[quarantineColumns]']],
  },
  {
    name: 'ads-found-by-clicks-of-all-countries',
    bug: 'a search of ads in one country tells their clicks from everywhere',
    file: 'query-api/store/group-counts.ts',
    integration: 'test/integration/clickhouse/filters.test.ts',
    edits: [['within(selection)} AND startsWith', 'sql`1`} AND startsWith']],
  },
  {
    name: 'ads-found-in-raw-by-any-name',
    bug: 'a search of ads by what is in their id lists all ads as soon as a user or an address is asked for',
    file: 'query-api/store/raw-counts.ts',
    integration: 'test/integration/clickhouse/filters.test.ts',
    edits: [['if (name === undefined) return listed;', 'if (name !== null) return listed;']],
  },
  {
    name: 'job-of-a-newer-release-stops-all',
    bug: 'a job with a reason that this release does not know makes every list of jobs fail, and no job runs',
    file: 'query-api/store/jobs/job-store.ts',
    integration: 'test/integration/clickhouse/job-order.test.ts',
    edits: [[' AND reason IN \x24{jobReasons}', '']],
  },
  {
    name: 'rows-of-the-store-unchecked',
    bug: 'a row of ClickHouse without a column, or with a text in place of a number, becomes part of an answer',
    file: 'query-api/store/sql/read-rows.ts',
    unit: 'test/unit/query-api/read-rows.test.ts',
    edits: [
      [
        'return checkedRows(columns, await clickhouse.query(sql, params, options), what);',
        'return (await clickhouse.query(sql, params, options)) as never;',
      ],
    ],
  },
  {
    name: 'numbers-of-the-store-unchecked',
    bug: 'a count of rows that ClickHouse returns as a text is compared and added up as a text',
    file: 'query-api/store/sql/read-rows.ts',
    unit: 'test/unit/query-api/read-rows.test.ts',
    edits: [
      [
        'checkedRows(NumberRow, await clickhouse.query(sql, params, options), what)',
        '(await clickhouse.query(sql, params, options)) as never[]',
      ],
    ],
  },
  {
    name: 'stored-json-unchecked',
    bug: 'differences that were stored as JSON of another shape are shown as they are',
    file: 'query-api/store/sql/read-rows.ts',
    unit: 'test/unit/query-api/read-rows.test.ts',
    edits: [['return checkedRows(columns, rows, what);', 'return rows as never;']],
  },
  {
    name: 'first-row-checked-alone',
    bug: 'only the first row of an answer is checked',
    file: 'infra/clickhouse/checked-rows.ts',
    unit: 'test/unit/query-api/read-rows.test.ts',
    edits: [['rows.findIndex(', 'rows.slice(0, 1).findIndex(']],
  },
  {
    name: 'week-begins-on-sunday',
    bug: 'last week begins on a Sunday: who shares the address of an invoice shares other days than it is of',
    file: 'query-api/dashboard/range.js',
    unit: 'test/unit/query-api/dashboard/range.test.ts',
    edits: [['.getUTCDay() + 6) % 7)', '.getUTCDay() + 7) % 7)']],
  },
  {
    name: 'late-copies-told-twice',
    bug: 'copies that a restatement has told are added once more as late ones: more lines than were ever sent',
    file: 'query-api/dashboard/parts/lines-sum.js',
    unit: 'test/unit/query-api/dashboard/lines-sum.test.ts',
    edits: [['duplicates - addedDuplicates + lateCopies', 'duplicates + lateCopies']],
  },
  {
    name: 'aggregator-blamed-for-the-sink',
    bug: 'where the sink does not write, the aggregator is said to count nothing: the wrong process is restarted',
    file: 'query-api/dashboard/parts/health.js',
    unit: 'test/unit/query-api/dashboard/health.test.ts',
    edits: [['unwritten !== undefined && unwritten > 0)', 'unwritten !== undefined && unwritten < 0)']],
  },
  {
    name: 'parameter-named-by-its-place',
    bug: 'a parameter that is given several times is called ad_id.0, which nobody has written',
    file: 'infra/problem.ts',
    unit: 'test/unit/query-api/app.test.ts',
    edits: [
      [
        "const named = error.validationContext === 'body' ? path",
        "const named = error.validationContext !== '' ? path",
      ],
    ],
  },
  {
    name: 'feed-starts-cold',
    bug: 'npm run feed compiles all of its program at each start, which takes twice as long',
    file: 'ingest/feed/main.ts',
    unit: 'test/processes/command-starts.test.ts',
    edits: [['\ncacheCompiledCode();\n', '\n']],
  },
  {
    name: 'key-hash-compared-in-part',
    bug: 'of the hash of a secret only the first bytes are compared: another secret can be found that is taken for it',
    file: 'infra/keys/key-check.ts',
    unit: 'test/unit/infra/keys/key-book.test.ts',
    edits: [
      [
        'timingSafeEqual(hash, parsed.secretHash)',
        'timingSafeEqual(hash.subarray(0, 8), parsed.secretHash.subarray(0, 8))',
      ],
    ],
  },
  {
    name: 'revoked-key-goes-on',
    bug: 'a key that was revoked is taken as before',
    file: 'infra/keys/key-book.ts',
    unit: 'test/unit/infra/keys/key-book.test.ts',
    edits: [["if (revoked !== undefined) return 'revoked';", '']],
  },
  {
    name: 'expired-key-goes-on',
    bug: 'a key that has expired is taken as before',
    file: 'infra/keys/key-book.ts',
    unit: 'test/unit/routes-and-keys.test.ts',
    edits: [["? 'expired' : 'usable'", "? 'usable' : 'usable'"]],
  },
  {
    name: 'remembered-key-never-ends',
    bug: 'a key that was right once is not looked up any more: its revocation has no effect where it is used',
    file: 'infra/keys/key-check.ts',
    unit: 'test/unit/infra/keys/key-book.test.ts',
    edits: [["if (state !== 'usable') return", "if (state !== 'usable' && remembered === undefined) return"]],
  },
  {
    name: 'replaced-secret-goes-on',
    bug: 'after a rotation the former secret is taken for good: one that has leaked cannot be ended',
    file: 'infra/keys/key-check.ts',
    unit: 'test/unit/infra/keys/key-book.test.ts',
    edits: [["if (now >= secret.until) return { kind: 'replaced', key };", '']],
  },
  {
    name: 'secrets-in-the-order-of-the-log',
    bug: 'the secret that was read last is in force: a topic that is restored or replayed brings a former one back',
    file: 'infra/keys/key-book.ts',
    unit: 'test/unit/infra/keys/key-book.test.ts',
    edits: [['secrets.push(change);\n  secrets.sort(', 'secrets.unshift(change);\n  [...secrets].sort(']],
  },
  {
    name: 'raw-export-with-scope-read',
    bug: 'whoever may read counts may also export the clicks, with user ids and addresses',
    file: 'query-api/routes/exports/exports.ts',
    unit: 'test/unit/routes-and-keys.test.ts',
    edits: [
      ["schema: clicksSchema, config: { scope: 'read:personal' }", "schema: clicksSchema, config: { scope: 'read' }"],
    ],
  },
  {
    name: 'persons-counted-with-scope-read',
    bug: 'whoever may read counts may also ask for those of one user or address',
    file: 'infra/http-keys.ts',
    unit: 'test/unit/routes-and-keys.test.ts',
    edits: [['return personalParameters.some(name => name in (query as object));', 'return false;']],
  },
  {
    name: 'route-without-scope-registered',
    bug: 'a route that does not say which scope it needs is taken, and nobody notices',
    file: 'infra/http-keys.ts',
    unit: 'test/unit/routes-and-keys.test.ts',
    edits: [['if (needed === undefined || needed.some', 'if (needed?.some']],
  },
  {
    name: 'loopback-by-the-clients-address',
    bug: 'whoever comes from loopback needs no key: behind a proxy on the same machine that is all the world',
    file: 'infra/keys/key-gate.ts',
    unit: 'test/unit/routes-and-keys.test.ts',
    edits: [["&& mode === 'optional' &&", "&& (mode === 'optional' || client.network === '127.0.0.1') &&"]],
  },
  {
    name: 'let-in-before-keys-are-read',
    bug: 'as long as the keys are not read everybody is let in, so that nobody has to wait',
    file: 'infra/keys/key-gate.ts',
    unit: 'test/unit/routes-and-keys.test.ts',
    edits: [
      [
        'if (refusal !== undefined) throw new Problem(503',
        'if (refusal !== undefined) return undefined;\n      if (refusal !== undefined) throw new Problem(503',
      ],
    ],
  },
  {
    name: 'guessing-keys-costs-nothing',
    bug: 'a client may try as many keys as it likes',
    file: 'infra/keys/wrong-keys.ts',
    unit: 'test/unit/infra/keys/key-gate.test.ts',
    edits: [['const mostPerMinute = 60;', 'const mostPerMinute = 60_000_000;']],
  },
  {
    name: 'wrong-secret-told-from-unknown-key',
    bug: 'the answer tells whether a key exists: its owner can be looked for, and its secret guessed',
    file: 'infra/keys/key-check.ts',
    unit: 'test/unit/infra/keys/key-gate.test.ts',
    edits: [
      [
        "return key === undefined || secret === undefined ? { kind: 'unknown' }",
        "if (key !== undefined && secret === undefined) return { kind: 'malformed' };\n  return key === undefined || secret === undefined ? { kind: 'unknown' }",
      ],
    ],
  },
  {
    name: 'prefix-only-of-parsed-clicks',
    bug: 'a key for some ads is held to them where a click is parsed, and not where it is copied, as nearly all are',
    file: 'ingest/click-batch.ts',
    unit: 'test/unit/ingest/key-prefix.test.ts',
    edits: [['|| lines.lastAdBegins(adIdPrefix)) return behind;', '|| lines.count > 0) return behind;']],
  },
  {
    name: 'keys-followed-from-the-end',
    bug: 'keys are followed from where the topic ends: after a restart those that were made before are not known',
    file: 'infra/kafka/group-consumer.ts',
    integration: 'test/integration/keys.test.ts',
    edits: [['fromBeginning: true', "fromBeginning: !options.group.includes('keys-')"]],
  },
  {
    name: 'link-signature-compared-in-part',
    bug: 'of the signature of a click link only the beginning is compared: the rest of it can be guessed by anybody',
    file: 'ingest/links/link-text.ts',
    unit: 'test/unit/ingest/links/link-check.test.ts',
    edits: [
      [
        'right.length === asked.length && timingSafeEqual(right, asked)',
        'asked.length >= 42 && timingSafeEqual(right.subarray(0, 42), asked.subarray(0, 42))',
      ],
    ],
  },
  {
    name: 'link-expiry-not-checked',
    bug: 'a click link is valid for ever: it leads to its destination when nobody answers for that any more',
    file: 'ingest/links/link-check.ts',
    unit: 'test/unit/ingest/links/link-check.test.ts',
    edits: [['if (now >= expiresAt) return', 'if (expiresAt === 0) return']],
  },
  {
    name: 'link-destination-not-signed',
    bug: 'the destination is no part of what is signed: every click link is an open redirect',
    file: 'ingest/links/link-text.ts',
    unit: 'test/unit/ingest/links/link-check.test.ts',
    edits: [['madeAt, expiresAt, keyId, destination];', "madeAt, expiresAt, keyId, destination && ''];"]],
  },
  {
    name: 'link-click-at-time-of-load',
    bug: 'a click has the time at which its link was loaded: a reload in another minute is a second click',
    file: 'ingest/links/link-check.ts',
    unit: 'test/unit/ingest/links/link-route.test.ts',
    edits: [
      ['eventId: link.eventId, clickedAt, destination }', 'eventId: link.eventId, clickedAt: now, destination }'],
    ],
  },
  {
    name: 'link-redirect-before-the-spool',
    bug: 'the redirect does not wait for the spool: who is killed before the disk has the click has lost it',
    file: 'ingest/links/keep-click.ts',
    unit: 'test/unit/ingest/links/link-route.test.ts',
    edits: [['await spool.append(click);', 'void spool.append(click);']],
  },
  {
    name: 'spool-removed-before-acknowledgement',
    bug: 'a file of the spool is removed when it is read: clicks that Kafka does not acknowledge are gone with the process',
    file: 'ingest/spool/spool.ts',
    unit: 'test/unit/ingest/spool/spool.test.ts',
    edits: [
      ['  for (let i = 0; i < known.length;', '  await files.remove(name);\n  for (let i = 0; i < known.length;'],
      ['    await files.remove(name);\n  } else {', '  } else {'],
    ],
  },
  {
    // That a disk really has what its system says is synced, no test here can tell.
    name: 'spool-not-synced',
    bug: 'the spool is written and not synced: when the power goes, clicks that were answered are gone',
    file: 'ingest/spool/spool-files.ts',
    unit: 'test/unit/ingest/spool/spool.test.ts',
    edits: [['      await file.sync();\n', '']],
  },
  {
    name: 'spool-appends-after-a-failure',
    bug: 'the spool goes on in a file of which a write has failed: what the disk has of it is not certain',
    file: 'ingest/spool/spool-files.ts',
    unit: 'test/unit/ingest/spool/spool.test.ts',
    edits: [['      await this.#endFile();\n      batch.written.reject', '      batch.written.reject']],
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
