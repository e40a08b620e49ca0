/** Live clicks over HTTP at a steady rate, in batches, with their truth: what a fleet of ad servers posts. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoadOptions {
  /** Of ingest. */
  readonly url: string;
  readonly ads: number;
  /** Clicks per request. */
  readonly batch: number;
  /** Requests on their way at the same time, at most: beyond, the load falls behind, and says so by its rate. */
  readonly mostOpen: number;
}

export interface ClickLoad {
  /** Distinct clicks accepted, by number of the ad. */
  readonly truth: Int32Array;
  readonly posted: number;
  readonly distinct: number;
  /** Somebody else has posted so many distinct clicks, of other ads. */
  alsoPosted(clicks: number): void;
  /** @throws where a request is not accepted whole */
  run(perSecond: number, seconds: number): Promise<void>;
}

/** Digits are written over its zeros: to make a text of each click would cost as much as to take it in. */
const line = Buffer.from(
  `{"ad_id":"ad_0000000","event_id":"0000000000-0000000000000-0000000000","clicked_at":0000000000000,"country":"KR",` +
    `"user_id":"u_0000000","ip":"203.0.113.000"}\n`,
);
/** Of the last digit of each number. */
const places = {
  ad: line.indexOf('","event_id') - 1,
  hash: line.indexOf('-') - 1,
  postedAt: line.lastIndexOf('-') - 1,
  serial: line.indexOf('","clicked_at') - 1,
  clickedAt: line.indexOf(',"country') - 1,
  user: line.indexOf('","ip') - 1,
  ip: line.indexOf('"}') - 1,
};

function digits(target: Buffer, last: number, value: number): void {
  for (let at = last, rest = value; rest > 0; at--) {
    const next = Math.floor(rest / 10);
    target[at] = 0x30 + rest - next * 10;
    rest = next;
  }
}

const tickMs = 20;
const copyEvery = 100;

export function createClickLoad({ url, ads, batch, mostOpen }: LoadOptions): ClickLoad {
  const truth = new Int32Array(ads);
  const open = new Set<Promise<void>>();
  const free: Buffer<ArrayBuffer>[] = [];
  let [posted, distinct, serial] = [0, 0, 0];

  /** One of a hundred is a copy of the click before. */
  const body = () => {
    const now = Date.now();
    const lines = free.pop() ?? Buffer.allocUnsafe(line.length * batch);
    for (let i = 0, at = 0; i < batch; i++, at += line.length) {
      serial++;
      if (serial % copyEvery === 0 && i > 0) {
        lines.copy(lines, at, at - line.length, at);
        continue;
      }
      const ad = Math.floor(ads * Math.random() ** 4);
      line.copy(lines, at);
      digits(lines, at + places.ad, ad);
      digits(lines, at + places.hash, (serial * 2_654_435_761) >>> 0);
      digits(lines, at + places.postedAt, now);
      digits(lines, at + places.serial, serial);
      digits(lines, at + places.clickedAt, now - (serial % 200));
      digits(lines, at + places.user, serial % 5_000_000);
      digits(lines, at + places.ip, 100 + (serial % 100));
      truth[ad]!++;
      distinct++;
    }
    posted += batch;
    return lines;
  };
  const post = async (lines: Buffer<ArrayBuffer>) => {
    const headers = { 'content-type': 'application/x-ndjson' };
    const response = await fetch(`${url}/v1/clicks`, { method: 'POST', headers, body: lines });
    const answer = await response.text();
    free.push(lines);
    if (response.status !== 202 || !answer.includes('"rejected":[]'))
      throw new Error(`not accepted: ${response.status} ${answer.slice(0, 300)}`);
  };
  return {
    truth,
    get posted() {
      return posted;
    },
    get distinct() {
      return distinct;
    },
    alsoPosted(clicks) {
      posted += clicks;
      distinct += clicks;
    },
    async run(perSecond, seconds) {
      const startedAt = performance.now();
      const most = Math.round((perSecond * seconds) / batch);
      for (let sent = 0; sent < most; ) {
        const elapsedMs = performance.now() - startedAt;
        // What could not be sent in time is not made up for: the load would come in bursts that nobody asked for.
        if (elapsedMs > seconds * 1_000) break;
        const due = Math.min(most, Math.ceil((elapsedMs * perSecond) / 1_000 / batch));
        while (sent < due && open.size < mostOpen) {
          const request: Promise<void> = post(body()).finally(() => open.delete(request));
          open.add(request);
          sent++;
        }
        await (open.size < mostOpen ? sleep(tickMs) : Promise.race(open));
      }
      await Promise.all(open);
    },
  };
}
