/**
 * A second opinion on acknowledgements: reads a whole topic at once, as another client printed it, and knows nothing of
 * the core's way to follow it. Only the contract in the head of ingest/ack-chain.ts is used, and read anew here.
 */
export interface PrintedLine {
  readonly partition: number;
  readonly offset: number;
  /** The record's header `acks`, '' where it has none. */
  readonly kind: string;
  /** '' for a record without lines. */
  readonly line: string;
}

export interface AckChains {
  readonly writers: number;
  readonly batches: number;
  /** Click lines that some later record of their writer calls acknowledged. */
  readonly acknowledged: number;
  /** Those of them that are not in the topic. */
  readonly missing: number;
  /** Lines of batches that are there more than once. */
  readonly repeated: number;
  /** What no writer that keeps to the contract can have written, and each batch that is lost. */
  readonly violations: readonly string[];
}

/** `lines`: of the topic from its beginning, each partition in order. */
export function ackChains(lines: Iterable<PrintedLine>): AckChains {
  const violations: string[] = [];
  const chains = new Map<string, Chain>();
  for (const { partition, header, offset, count } of recordsOf(lines)) {
    const told = header.split('.');
    const numbers = [told[2], told[3], told[4], Number.parseInt(told[5] ?? '', 16), told[6]].map(Number);
    const [batch = 0, size = 0, last = 0, outcomes = 0, total = 0] = numbers;
    if (told.length !== 7 || told[0] !== '1' || !numbers.every(Number.isSafeInteger)) {
      violations.push(`clicks[${partition}] ${offset}: no header of acknowledgements: ${header}`);
      continue;
    }
    const key = `${told[1]} in clicks[${partition}]`;
    const chain: Chain = chains.get(key) ?? { batches: new Map(), acknowledged: new Set(), denied: new Set() };
    chains.set(key, chain);
    const known = chain.batches.get(batch);
    if (known && (known.size !== size || known.total !== total))
      violations.push(`${key}: batch ${batch} tells two things`);
    chain.batches.set(batch, { size, total, count: count + (known?.count ?? 0) });
    if (last > 0) chain.acknowledged.add(last);
    for (let earlier = batch - 1; earlier >= Math.max(1, batch - 32); earlier--) {
      const isAcknowledged = Math.floor(outcomes / 2 ** (batch - 1 - earlier)) % 2 === 1;
      (isAcknowledged ? chain.acknowledged : chain.denied).add(earlier);
    }
  }
  const sums = { acknowledged: 0, missing: 0, repeated: 0 };
  for (const [key, chain] of chains) {
    const { acknowledged, missing, repeated } = judge(key, chain, violations);
    sums.acknowledged += acknowledged;
    sums.missing += missing;
    sums.repeated += repeated;
  }
  const batches = [...chains.values()].reduce((sum, chain) => sum + chain.batches.size, 0);
  return { writers: new Set([...chains.keys()].map(key => key.split(' ')[0])).size, batches, ...sums, violations };
}

/** Of one writer in one partition. */
interface Chain {
  readonly batches: Map<number, { readonly size: number; readonly total: number; readonly count: number }>;
  readonly acknowledged: Set<number>;
  readonly denied: Set<number>;
}

function judge(key: string, { batches, acknowledged, denied }: Chain, violations: string[]) {
  let there = 0;
  let repeated = 0;
  for (const batch of acknowledged) {
    if (denied.has(batch)) violations.push(`${key}: batch ${batch} was acknowledged, and was not`);
    if (!batches.has(batch)) violations.push(`${key}: batch ${batch} was acknowledged and is not there`);
  }
  for (const [batch, { size, count }] of batches) {
    repeated += Math.max(0, count - size);
    if (acknowledged.has(batch)) there += Math.min(size, count);
    if (count < size) violations.push(`${key}: batch ${batch} has ${count} of ${size} lines`);
  }
  const latest = batches.get(Math.max(...batches.keys()));
  const total = latest?.total ?? 0;
  if (there > total) violations.push(`${key}: ${there} acknowledged lines are there, ${total} were told`);
  return { acknowledged: total, missing: Math.max(0, total - there), repeated };
}

/** One for each record that has the header. */
function* recordsOf(lines: Iterable<PrintedLine>) {
  let record: { partition: number; offset: number; header: string; count: number } | undefined;
  for (const { partition, offset, kind, line } of lines) {
    if (record && (record.partition !== partition || record.offset !== offset)) {
      if (record.header !== '') yield record;
      record = undefined;
    }
    record ??= { partition, offset, header: kind, count: 0 };
    if (line !== '') record.count++;
  }
  if (record && record.header !== '') yield record;
}
