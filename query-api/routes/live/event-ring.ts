/**
 * The latest events, so that a client that was away for a moment goes on where it was. Bounded by number and by bytes:
 * what a client gets at once when it comes back must fit into its buffer.
 *
 * An id is `<run>-<number>`. Another run's id says nothing about this one's events, so it is never mistaken for ours.
 */
export interface RingEvent {
  readonly id: string;
  /** As it goes over the wire; every client is sent these same bytes. */
  readonly bytes: Buffer;
}

export interface EventRing {
  /** Numbers an event and keeps it. */
  add(encode: (id: string) => Buffer): RingEvent;
  /** What came after `id`; undefined where that is not known any more: then the client has missed something. */
  after(id: string): readonly RingEvent[] | undefined;
  latest(): RingEvent | undefined;
}

export interface RingLimits {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

export function createEventRing(run: string, { maxEvents, maxBytes }: RingLimits): EventRing {
  const events: RingEvent[] = [];
  let bytes = 0;
  /** Of the next event; that of the first one kept is `next - events.length`. */
  let next = 1;
  return {
    add(encode) {
      const id = `${run}-${next}`;
      const event = { id, bytes: encode(id) };
      next += 1;
      events.push(event);
      bytes += event.bytes.length;
      while (events.length > maxEvents || (bytes > maxBytes && events.length > 1)) {
        bytes -= events.shift()?.bytes.length ?? 0;
      }
      return event;
    },
    after(id) {
      const number = numberOf(id, run);
      const oldest = next - events.length;
      if (number === undefined || number < oldest - 1 || number >= next) return undefined;
      return events.slice(number - oldest + 1);
    },
    latest: () => events.at(-1),
  };
}

function numberOf(id: string, run: string): number | undefined {
  const [, theirs, number] = /^([a-z0-9]+)-(\d{1,15})$/.exec(id) ?? [];
  return theirs === run ? Number(number) : undefined;
}
