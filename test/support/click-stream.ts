/**
 * A deterministic stream of clicks in live time with its truth: hot ads, copies, disorder. Truth is counted here, apart
 * from all code under test.
 */
import { type Click, formatLine, partitionOf } from '../../ingest/click.ts';

export interface ClickStream {
  /** The next clicks, as of now. */
  take(count: number): Click[];
  /** `ad|minute` (epoch s) → distinct event ids. */
  readonly truth: Map<string, number>;
  readonly distinct: number;
}

export function clickStream({
  ads = 100,
  seed = 1,
  duplicateShare = 0.04,
  disorderShare = 0.05,
  disorderMs = 10_000,
} = {}): ClickStream {
  const random = mulberry32(seed);
  const truth = new Map<string, number>();
  const recent: Click[] = [];
  let serial = 0;
  let distinct = 0;
  const fresh = (): Click => {
    const now = Date.now();
    const clickedAt = now - (random() < disorderShare ? Math.floor(random() * disorderMs) : 0);
    const adId = `ad_${Math.floor(ads * random() ** 3)}`;
    const id = `${seed}-${++serial}`;
    distinct++;
    const key = `${adId}|${Math.floor(clickedAt / 60_000) * 60}`;
    truth.set(key, (truth.get(key) ?? 0) + 1);
    const made = {
      clickId: mintId(serial, random),
      eventId: id,
      adId,
      clickedAt,
      receivedAt: now,
      country: random() < 0.5 ? 'KR' : 'DE',
    };
    recent[serial % 5_000] = made;
    return made;
  };
  const copy = (): Click => {
    const original = recent[Math.floor(random() * recent.length)];
    return original === undefined
      ? fresh()
      : { ...original, clickId: mintId(++serial, random), receivedAt: Date.now() };
  };
  return {
    take: count =>
      Array.from({ length: count }, () => (recent.length > 0 && random() < duplicateShare ? copy() : fresh())),
    truth,
    get distinct() {
      return distinct;
    },
  };
}

/** As ingest would write them: one record of NDJSON per partition. */
export function recordsOf(clicks: readonly Click[], partitions: number): { partition: number; value: string }[] {
  const lines = new Map<number, string[]>();
  for (const click of clicks) {
    const partition = partitionOf(click.adId, partitions);
    lines.set(partition, [...(lines.get(partition) ?? []), formatLine(click)]);
  }
  return [...lines].map(([partition, all]) => ({ partition, value: all.join('\n') }));
}

function mintId(serial: number, random: () => number): string {
  return `01K${serial.toString(36).toUpperCase().padStart(10, '0')}${Math.floor(random() * 2 ** 40)
    .toString(36)
    .toUpperCase()
    .padStart(13, '0')}`;
}

function mulberry32(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
