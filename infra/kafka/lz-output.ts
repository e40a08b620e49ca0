/** Pure: where the bytes of a decompressed batch are collected, which may repeat themselves. It grows up to a limit. */
export class Output {
  readonly #most: number;
  #bytes: Buffer;
  length = 0;

  constructor(most: number, expected: number) {
    this.#most = most;
    this.#bytes = Buffer.allocUnsafe(Math.max(64, Math.min(most, expected)));
  }

  copy(from: Buffer, at: number, length: number): void {
    this.#reserve(length);
    from.copy(this.#bytes, this.length, at, at + length);
    this.length += length;
  }

  /** Appends what was written `distance` bytes before, which may reach into what this appends. */
  repeat(distance: number, length: number): void {
    if (distance === 0 || distance > this.length) throw new Error(`there is nothing ${distance} bytes before`);
    this.#reserve(length);
    const bytes = this.#bytes;
    const end = this.length + length;
    if (distance >= length) bytes.copy(bytes, this.length, this.length - distance, end - distance);
    else for (let at = this.length; at < end; at++) bytes[at] = bytes[at - distance]!;
    this.length = end;
  }

  taken(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  #reserve(length: number): void {
    const needed = this.length + length;
    if (needed > this.#most) throw new Error(`it has more than ${this.#most} bytes`);
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.min(this.#most, Math.max(needed, 2 * this.#bytes.length)));
    this.#bytes.copy(larger, 0, 0, this.length);
    this.#bytes = larger;
  }
}
