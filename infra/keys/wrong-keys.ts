/** Counts the API keys of one client that were not known, by minute, and remembers which were right. */
export class WrongKeys {
  #minute = 0;
  #count = 0;
  /** Ids of keys. Most clients have one key, or none. */
  #right: string[] = [];

  wrong(now: number): void {
    const minute = Math.floor(now / minuteMs);
    if (minute !== this.#minute) this.#count = 0;
    this.#minute = minute;
    this.#count++;
  }

  right(keyId: string): void {
    if (this.#right[0] === keyId || this.#right.includes(keyId)) return;
    this.#right = [keyId, ...this.#right.slice(0, mostRight - 1)];
  }

  wasRight(keyId: string): boolean {
    return this.#right.includes(keyId);
  }

  /** Whether the client may try no other keys in this minute. */
  isUsedUp(now: number): boolean {
    return this.#count >= mostPerMinute && Math.floor(now / minuteMs) === this.#minute;
  }

  waitS(now: number): number {
    return Math.ceil((minuteMs - (now % minuteMs)) / 1_000);
  }
}

const minuteMs = 60_000;
/** Nobody mistypes so often. */
const mostPerMinute = 60;
const mostRight = 16;
