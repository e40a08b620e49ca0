/**
 * Memory for the brokers' large answers, used again once all that was read from them has been dealt with. While a backlog
 * is read answers come by hundreds of MB a second: to have the system map and clear their pages each time, and the
 * garbage collector find out that they are free, cost a quarter of the aggregator's CPU.
 *
 * Nothing is taken back by guessing. An answer's parts are held when they are decoded and released one by one by whoever
 * says that he keeps nothing of them; an answer of which one part is never released is left to the garbage collector.
 */

/** What is smaller is not worth it. */
const leastBytes = 1 << 20;
/** Sizes differ from answer to answer: rounded up, they fit the next one too. */
const roundedTo = 4 << 20;
const mostFree = 4;
const mostFreeBytes = 128 << 20;

interface Memory {
  readonly whole: Buffer;
  held: number;
}

const memories = new WeakMap<ArrayBufferLike, Memory>();
let free: Memory[] = [];

/** `bytes` bytes with anything in them. */
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

/** Ends one `hold`: nobody reads the part any more, or what was made of it without a copy. */
export function release(part: Buffer): void {
  const memory = memories.get(part.buffer);
  if (memory === undefined || --memory.held > 0) return;
  free.push(memory);
  // The oldest go first: they are the ones that did not fit.
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
