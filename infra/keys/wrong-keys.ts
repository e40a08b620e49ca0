/** Counts the API keys of one client that were not known, by minute, and remembers which were right. */
export class WrongKeys {
  #minute = 0;
  #count = 0;
  /** Beginnings of keys, without their secrets. Most clients have one key, or none. */
  #right: string[] = [];

  wrong(now: number): void {
    const minute = Math.floor(now / minuteMs);
    if (minute !== this.#minute) this.#count = 0;
    this.#minute = minute;
    this.#count++;
  }

  right(key: string): void {
    if (this.#right[0] === key || this.#right.includes(key)) return;
    this.#right = [key, ...this.#right.slice(0, mostRight - 1)];
  }

  wasRight(key: string): boolean {
    return this.#right.includes(key);
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
