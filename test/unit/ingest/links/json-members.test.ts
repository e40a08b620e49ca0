/** An object that is read member by member, against `JSON.parse` on the whole. */
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { atOnce, type Slices } from '../../../../infra/slices.ts';
import { readMembers } from '../../../../ingest/links/json-members.ts';

function reading(text: string) {
  const members = new Map<string, unknown>();
  let own = new Map<string, unknown>();
  const slices = readMembers(Buffer.from(text), {
    member: (name, value) => members.set(name, value),
    large: 'large',
    largeBegins() {
      own = new Map();
      members.set('large', own);
    },
    largeMember: (name, value) => own.set(name, value),
  });
  return { slices, whole: () => Object.fromEntries([...members].map(([name, value]) => [name, plain(value)])) };
}

function plain(value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value) : value;
}

/** Undefined: it is refused. */
function read(text: string): unknown {
  const { slices, whole } = reading(text);
  try {
    atOnce(slices);
    return whole();
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return undefined;
  }
}

function parsed(text: string): unknown {
  try {
    const value = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const texts = fc
  .tuple(
    fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true, maxKeys: 3 }),
    fc.option(fc.dictionary(fc.string(), fc.jsonValue(), { noNullPrototype: true, maxKeys: 4 }), { nil: undefined }),
    fc.nat(2),
  )
  .map(([rest, large, indent]) => JSON.stringify({ ...rest, ...(large && { large }) }, null, indent));

it('is what the whole is', () => {
  fc.assert(
    fc.property(texts, text => {
      expect(read(text)).toEqual(parsed(text));
    }),
  );
});

it('is refused where the whole is refused, whatever is wrong, and nowhere else', () => {
  const wrong = fc.constantFrom(...'{}[]",:\\ \n0a\u00a0\ufeff', '', '"large":{"a":1},', '"large":[1],', ',}');
  fc.assert(
    fc.property(texts, fc.nat(), fc.nat(2), wrong, (text, place, removed, put) => {
      const at = place % (text.length + 1);
      const altered = (text.slice(0, at) + put + text.slice(at + removed)).toWellFormed();
      expect(read(altered)).toEqual(parsed(altered));
    }),
    { numRuns: 5_000 },
  );
});

it.each([
  '{}',
  ' { "large" : { } } ',
  '{"large":{"a":1}} x',
  '{"large":{"a":1},}',
  '{"large":{"a":1]}',
  '{"large":{,}}',
  '{"large":{"a":1}"b":2}',
  '{"large" {"a":1}}',
  '{"l\\u0061rge":{"a":1},"large":{"b":2}}',
  '{"large":{"b":2},"l\\u0061rge":{"a":1}}',
  '{"large":{"a":1},"large":{"b":1}}',
  '{"large":{"a":1},"large":3}',
  '{"__proto__":{"a":1},"large":{"__proto__":2}}',
  '{"a":1}}',
  '[]',
  '',
  '{',
])('%s is read, or refused, as the whole is', text => {
  expect(read(text)).toEqual(parsed(text));
});

it('is parsed a few members at a time, however many there are, and nothing large at once', () => {
  const large = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`ad-${i}`, [`https://x.example/${i}`]]));
  const { slices, whole } = reading(JSON.stringify({ before: 1, large, after: 2 }));
  const most = mostParsed(slices);
  expect(whole()).toEqual({ before: 1, large, after: 2 });
  expect(most.calls).toBeLessThanOrEqual(1_200);
  expect(most.characters).toBeLessThanOrEqual(40_000);
});

function mostParsed(slices: Slices<void>) {
  const parse = vi.spyOn(JSON, 'parse');
  const most = { calls: 0, characters: 0 };
  for (let isDone: boolean | undefined = false; !isDone; ) {
    parse.mockClear();
    isDone = slices.next().done;
    most.calls = Math.max(most.calls, parse.mock.calls.length);
    most.characters = Math.max(
      most.characters,
      parse.mock.calls.reduce((sum, [text]) => sum + text.length, 0),
    );
  }
  parse.mockRestore();
  return most;
}
