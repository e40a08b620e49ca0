/**
 * Gives up an answer that takes longer than `timeoutMs`. Clients retry for long while a system is away, and meanwhile
 * the rest of an answer is worth having.
 */
export async function inTime<T>(answer: Promise<T>, timeoutMs = 2_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}
