/** Keeps an answer for a while, and lets all who ask meanwhile share one request: what is asked often cannot hammer what is behind. */
export function cached<T>(ask: () => Promise<T>, keepMs: number, now: () => number): () => Promise<T> {
  let answer: { readonly value: Promise<T>; until: number } | undefined;
  return () => {
    if (answer && now() < answer.until) return answer.value;
    const fresh = { value: ask(), until: Number.POSITIVE_INFINITY };
    answer = fresh;
    const startToKeep = () => {
      fresh.until = now() + keepMs;
    };
    fresh.value.then(startToKeep, startToKeep);
    return fresh.value;
  };
}
