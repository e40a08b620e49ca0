import { describe, expect, it } from 'vitest';
import { auditText } from '../../../../query-api/cli/audit-command.ts';
import { styleFor } from '../../../../query-api/cli/style.ts';

const plain = styleFor({ isTerminal: false, hasColour: false });
const entry = {
  ...{ id: 'e', at: '2026-01-01T00:00:00.000Z', until: '2026-01-01T00:00:00.000Z', kind: 'act', by: 'key-1' },
  ...{ name: 'the operator', subject: 'ann', from: '192.0.2.1', action: 'POST /v1/replays', requests: 1 },
  ...{ parameters: { from: 'a', apply: 'true' } as Record<string, string>, status: 202 as number | null },
};

describe('adclicks audit', () => {
  it('shows an entry a line: who, from where, what, how it ended, and with which parameters', () => {
    const [, line] = auditText({ entries: [entry] }, plain).split('\n');
    expect(line).toBe(
      '2026-01-01T00:00:00Z  key-1  the operator  ann      192.0.2.1  POST /v1/replays  202            1  from=a apply=true',
    );
  });

  it('says of what is not known to have ended that it is unknown', () => {
    expect(auditText({ entries: [{ ...entry, status: null }] }, plain)).toContain('unknown');
  });

  it('prints no control character that somebody has put into a name or a parameter', () => {
    const named = { ...entry, name: 'a\u001b[2J', parameters: { label: '\u0007' } };
    const text = auditText({ entries: [named] }, plain);
    expect(text.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });

  it('says that there is nothing, where there is nothing', () => {
    expect(auditText({ entries: [] }, plain)).toBe('there are no entries\n');
  });
});
