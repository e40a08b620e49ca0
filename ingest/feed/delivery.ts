/**
 * Collects items into batches, posts a few batches at a time, and reports the outcomes in the order of the items.
 *
 * The order of the answers does not matter. So a caller that records how far it got never records past a batch with an
 * unknown outcome. Memory is bounded: `add` waits while `concurrency` batches are unreported.
 */
import type { Post, Verdicts } from './poster.ts';

export interface Item {
  /** The click as JSON. Undefined for an item that is not posted but has its place in the order. */
  readonly json: string | undefined;
}

export interface DeliveryOptions<T extends Item> {
  readonly post: Post;
  readonly batchItems: number;
  readonly concurrency: number;
  /** `verdicts` covers only what was posted. Its indexes point into `posted`. */
  readonly onDelivered: (items: readonly T[], posted: readonly T[], verdicts: Verdicts) => void;
}

/** A batch is posted after this long, full or not. */
const maxWaitMs = 200;
/** Well below what ingest accepts in one request. */
const maxBatchBytes = 1024 * 1024;

export class Delivery<T extends Item> {
  readonly #options: DeliveryOptions<T>;
  #items: T[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #underWay: Promise<void>[] = [];
  #last: Promise<void> = Promise.resolve();
  #broken = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: DeliveryOptions<T>) {
    this.#options = options;
  }

  /** @throws the error of `post` for an earlier batch */
  async add(item: T): Promise<void> {
    if (this.#failure) throw this.#failure.error;
    const bytes = item.json?.length ?? 0;
    if (this.#bytes + bytes > maxBatchBytes) await this.#start();
    this.#items.push(item);
    this.#bytes += bytes;
    if (this.#items.length >= this.#options.batchItems) await this.#start();
    else this.#timer ??= setTimeout(() => this.#onTimer(), maxWaitMs);
  }

  /** Posts the rest and waits for all outcomes. */
  async finish(): Promise<void> {
    await this.#start();
    await this.#last;
  }

  #onTimer(): void {
    this.#timer = undefined;
    if (this.#failure) return;
    if (this.#underWay.length < this.#options.concurrency) this.#startNow();
    else this.#timer = setTimeout(() => this.#onTimer(), maxWaitMs);
  }

  async #start(): Promise<void> {
    while (this.#underWay.length >= this.#options.concurrency) await this.#underWay[0];
    this.#startNow();
  }

  #startNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#items.length === 0 || this.#failure) return;
    const items = this.#items;
    this.#items = [];
    this.#bytes = 0;
    const posted = items.filter(item => item.json !== undefined);
    const lines = posted.flatMap(({ json }) => json ?? []);
    const answer = lines.length > 0 ? this.#options.post(lines) : Promise.resolve({ accepted: 0, rejected: [] });
    const before = this.#last;
    const reported = (async () => {
      const [verdicts] = await Promise.all([answer, before]);
      if (verdicts === undefined) this.#broken = true;
      if (verdicts !== undefined && !this.#broken) this.#options.onDelivered(items, posted, verdicts);
      this.#underWay.shift();
    })();
    reported.catch((error: unknown) => {
      this.#failure ??= { error };
    });
    this.#underWay.push(reported);
    this.#last = reported;
  }
}
