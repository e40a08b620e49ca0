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

const tickMs = 20;
const copyEvery = 100;

export function createClickLoad({ url, ads, batch, mostOpen }: LoadOptions): ClickLoad {
  const truth = new Int32Array(ads);
  const open = new Set<Promise<void>>();
  let [posted, distinct, serial] = [0, 0, 0];
  let last = '';

  /** One of a hundred is a copy of the click before. */
  const body = () => {
    const now = Date.now();
    let lines = '';
    for (let i = 0; i < batch; i++) {
      serial++;
      if (serial % copyEvery !== 0) {
        const ad = Math.floor(ads * Math.random() ** 4);
        const [user, ip] = [serial % 5_000_000, serial & 0xff];
        const id = `${(serial * 2_654_435_761) >>> 0}-${now}-${serial}`;
        last = `{"ad_id":"ad_${ad}","event_id":"${id}","clicked_at":${now - (serial % 200)},"country":"KR","user_id":"u_${user}","ip":"203.0.113.${ip}"}\n`;
        truth[ad]!++;
        distinct++;
      }
      lines += last;
    }
    posted += batch;
    return lines;
  };
  const post = async (lines: string) => {
    const headers = { 'content-type': 'application/x-ndjson' };
    const response = await fetch(`${url}/v1/clicks`, { method: 'POST', headers, body: lines });
    const answer = await response.text();
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
