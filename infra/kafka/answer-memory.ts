/**
 * Provides memory for the brokers' large answers, and uses it again once everything read from them has been processed.
 *
 * While a backlog is read, answers arrive at hundreds of MB a second. Mapping and clearing new pages each time, and
 * collecting them as garbage, took a quarter of the aggregator's CPU.
 *
 * Nothing is taken back by guessing. The parts of an answer are held when they are decoded, and released one by one by
 * the code that keeps nothing of them. If one part is never released, the answer is left to the garbage collector.
 */

/** Smaller answers are not worth it. */
const leastBytes = 1 << 20;
/** Sizes differ from answer to answer. When they are rounded up, the memory fits the next answer too. */
const roundedTo = 4 << 20;
const mostFree = 4;
const mostFreeBytes = 128 << 20;

interface Memory {
  readonly whole: Buffer;
  held: number;
}

const memories = new WeakMap<ArrayBufferLike, Memory>();
let free: Memory[] = [];

/** Returns `bytes` bytes with any content. */
export function takeMemory(bytes: number): Buffer {
  if (bytes < leastBytes) return Buffer.allocUnsafe(bytes);
  const fitting = free.findIndex(({ whole }) => whole.length >= bytes);
  const [memory = newMemory(bytes)] = fitting === -1 ? [] : free.splice(fitting, 1);
  return memory.whole.subarray(0, bytes);
}

/** `part` of an answer is going to be read. */
export function hold(part: Buffer): void {
  const memory = memories.get(part.buffer);
  if (memory) memory.held++;
}

/** Ends one `hold`: nobody reads the part any more, or anything that was made from it without a copy. */
export function release(part: Buffer): void {
  const memory = memories.get(part.buffer);
  if (memory === undefined || --memory.held > 0) return;
  free.push(memory);
  // The oldest are removed first, because they are the ones that did not fit.
  while (free.length > mostFree || bytesOf(free) > mostFreeBytes) free = free.slice(1);
}

function newMemory(bytes: number): Memory {
  const memory = { whole: Buffer.allocUnsafeSlow(Math.ceil(bytes / roundedTo) * roundedTo), held: 0 };
  memories.set(memory.whole.buffer, memory);
  return memory;
}

function bytesOf(memories: readonly Memory[]): number {
  return memories.reduce((sum, { whole }) => sum + whole.length, 0);
}
