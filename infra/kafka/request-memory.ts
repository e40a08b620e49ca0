/**
 * Provides memory for requests, and uses it again once the socket has written them. New memory for each request, at a
 * few of them of some MB a second, made V8 collect all garbage several times a second, because it counts memory outside
 * of its heap as growth of the heap.
 *
 * A request that is never written, or whose socket fails, is left to the garbage collector.
 */

/** Smaller requests cost V8 little. */
const leastBytes = 8 << 10;
const mostFreeBytes = 32 << 20;
const mostFree = 16;

interface Memory {
  readonly whole: Buffer;
  isTaken: boolean;
}

const memories = new WeakMap<ArrayBufferLike, Memory>();
let free: Memory[] = [];

/** Returns `bytes` bytes with any content. */
export function takeRequestMemory(bytes: number): Buffer {
  if (bytes < leastBytes) return Buffer.allocUnsafe(bytes);
  const fitting = free.findIndex(({ whole }) => whole.length >= bytes);
  const [memory = newMemory(bytes)] = fitting === -1 ? [] : free.splice(fitting, 1);
  memory.isTaken = true;
  return memory.whole.subarray(0, bytes);
}

/** Nobody reads the request any more. */
export function requestWritten(request: Uint8Array): void {
  const memory = memories.get(request.buffer);
  if (!memory?.isTaken) return;
  memory.isTaken = false;
  free.push(memory);
  // The oldest are removed first, because they are the ones that did not fit.
  while (free.length > mostFree || free.reduce((sum, { whole }) => sum + whole.length, 0) > mostFreeBytes) {
    free = free.slice(1);
  }
}

/** The size is a power of two, so that the memory fits the next request too. */
function newMemory(bytes: number): Memory {
  const memory = { whole: Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes))), isTaken: false };
  memories.set(memory.whole.buffer, memory);
  return memory;
}
