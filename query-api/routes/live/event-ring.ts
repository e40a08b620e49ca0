/**
 * Keeps the latest events, so that a client that was away for a moment can continue where it was. Their number and their
 * bytes are limited, because all events that a returning client gets at once must fit into its buffer.
 *
 * An id is `<run>-<number>`. The number of another run says nothing about the events of this run, so an id of another run
 * is unknown here.
 */
export interface RingEvent {
  readonly id: string;
  /** The bytes as they are sent, which are the same for every client. */
  readonly bytes: Buffer;
}

export interface EventRing {
  /** Gives an event its number, and keeps it. */
  add(encode: (id: string) => Buffer): RingEvent;
  /** Returns the events after `id`. Undefined: they are no longer known, so the client has missed some. */
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
  /** The number of the next event. The oldest kept event has the number `next - events.length`. */
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
