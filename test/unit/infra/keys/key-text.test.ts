import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  keyIdPart,
  keyIdPattern,
  mintKeyText,
  parseKeyText,
  withoutKeyTexts,
} from '../../../../infra/keys/key-text.ts';
import { adIdPrefixPattern } from '../../../../infra/keys/tenant.ts';
import { adIdPattern } from '../../../../ingest/click.ts';

const bytes = (size: number) => fc.uint8Array({ minLength: size, maxLength: size }).map(array => Buffer.from(array));
/** Chance that is chosen by the test: the first call gives the secret. */
const fixed = (secret: Buffer) => () => secret;

describe('the text of a key', () => {
  it('is read back as it was written, whatever the chance was', () => {
    fc.assert(
      fc.property(bytes(32), fc.stringMatching(keyIdPattern), (secret, id) => {
        const { keyId, text } = mintKeyText(id, fixed(secret));
        expect(keyId).toBe(id);
        expect(text).toHaveLength(9 + 16 + 1 + 43 + 6);
        expect(text).toMatch(/^adclicks_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}$/);
        expect(parseKeyText(text)?.keyId).toBe(id);
      }),
    );
  });

  it('is another for every secret, also those that begin with zeros, and so is its hash', () => {
    fc.assert(
      fc.property(bytes(32), bytes(32), (a, b) => {
        const [one, other] = [a, b].map(secret => mintKeyText('0123456789abcdef', fixed(secret)).text);
        expect(one === other).toBe(a.equals(b));
        const [hash, otherHash] = [one, other].map(text => parseKeyText(text ?? '')?.secretHash.toString('hex'));
        expect(hash === otherHash).toBe(a.equals(b));
      }),
      {
        examples: [
          [Buffer.alloc(32), Buffer.alloc(32, 255)],
          [Buffer.alloc(32), Buffer.alloc(32)],
        ],
      },
    );
  });

  it('is not a key with any one character changed, cut, or added', () => {
    const { text } = mintKeyText();
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.constantFrom(...'0aZ_-. '), (at, character) => {
        fc.pre(text[at] !== character);
        expect(parseKeyText(text.slice(0, at) + character + text.slice(at + 1))).toBeUndefined();
        expect(parseKeyText(text.slice(0, at) + text.slice(at + 1))).toBeUndefined();
        expect(parseKeyText(text.slice(0, at) + character + text.slice(at))).toBeUndefined();
      }),
    );
  });

  it('takes no other text for a key', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        expect(parseKeyText(text)).toBeUndefined();
        expect(parseKeyText(`adclicks_${text}`)).toBeUndefined();
      }),
    );
  });

  it('has 256 bits of chance', () => {
    const asked: number[] = [];
    mintKeyText(undefined, size => {
      asked.push(size);
      return randomBytes(size);
    });
    expect(asked).toContain(32);
    expect(new Set(Array.from({ length: 1_000 }, () => mintKeyText().text)).size).toBe(1_000);
  });

  it('is taken out of texts of others that we keep, and its id is left in', () => {
    for (const kind of ['secret', 'public'] as const) {
      const { keyId, text } = mintKeyText(undefined, undefined, kind);
      const beginning = text.slice(0, text.indexOf(keyId) + keyId.length);
      expect(withoutKeyTexts(`/v1/status?key=${text}&a=1`)).toBe(`/v1/status?key=${beginning}_***&a=1`);
    }
    expect(withoutKeyTexts('/v1/status')).toBe('/v1/status');
  });

  it('of a public key looks like no secret to a scanner, and is read as others are', () => {
    const { keyId, text } = mintKeyText(undefined, undefined, 'public');
    expect(text).toMatch(new RegExp(`^adclicks_pub_${keyId}_[0-9A-Za-z]{49}$`));
    expect(text).not.toMatch(/adclicks_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}/);
    expect(parseKeyText(text)?.keyId).toBe(keyId);
    expect(keyIdPart(text)).toBe(keyId);
    expect(parseKeyText(text.replace('pub_', ''))).toBeUndefined();
  });
});

it('lets a key be for the ads that there may be', () => {
  expect(adIdPrefixPattern.source).toBe(adIdPattern.source);
});
