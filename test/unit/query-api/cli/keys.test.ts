import { describe, expect, it } from 'vitest';
import { mintKeyText } from '../../../../infra/keys/key-text.ts';
import { ownKeyOf } from '../../../../infra/keys/own-key.ts';
import { keysText } from '../../../../query-api/cli/keys-commands.ts';
import { styleFor } from '../../../../query-api/cli/style.ts';

const style = styleFor({ isTerminal: false, hasColour: false });

describe('the list of keys', () => {
  it('is a line for each, and shows control characters of a label instead of sending them to a terminal', () => {
    const key = {
      id: '0123456789abcdef',
      label: 'shop\u001b[2J',
      scopes: ['ingest'],
      ad_id_prefix: 'shop-',
      tenant: null,
      origins: null,
      region: 'eu',
      state: 'usable' as const,
      expires_at: null,
      previous_until: null,
      quotas: { clicks_per_second: 5_000 },
      changes: [
        { change: 'created' as const, at: '2026-03-01T12:00:00.000Z', by: 'operator at the broker', from: null },
      ],
    };
    const [, line = ''] = keysText({ keys: [key] }, style).split('\n');
    expect(line).toContain('0123456789abcdef  usable  ingest  shop-…  eu ');
    expect(line).toContain('operator at the broker  never    shop\\u001b[2J');
    expect(keysText({ keys: [] }, style)).toBe('there are no keys\n');
  });
});

describe('the key of a program', () => {
  it('comes from its environment, with a newline of a file or not', () => {
    const { text } = mintKeyText();
    expect(ownKeyOf({ ADCLICKS_API_KEY: `${text}\n` })).toBe(text);
    expect([ownKeyOf({}), ownKeyOf({ ADCLICKS_API_KEY: '' })]).toEqual([undefined, undefined]);
  });

  it('is not shown where it is none', () => {
    expect(() => ownKeyOf({ ADCLICKS_API_KEY: 'hunter2' })).toThrow(
      /^ADCLICKS_API_KEY: must be an API key, whole, as it was shown when it was made$/,
    );
  });
});
