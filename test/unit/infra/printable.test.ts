import { describe, expect, it } from 'vitest';
import { ClickHouseConfig, loadConfig, printable } from '../../../infra/config.ts';

describe('the configuration as it is logged', () => {
  it('has no password, neither as a setting of its own nor within a URL', () => {
    const env = { CLICKHOUSE_URL: 'https://me:pa@ss@db.example:8443/x', CLICKHOUSE_PASSWORD: 'pa@ss' };
    const shown = printable(loadConfig(ClickHouseConfig, env));
    expect(shown).toMatchObject({ CLICKHOUSE_URL: 'https://***@db.example:8443/x', CLICKHOUSE_PASSWORD: '***' });
    expect(JSON.stringify(shown)).not.toContain('pa@ss');
  });

  it('says where a password is not set', () => {
    expect(printable(loadConfig(ClickHouseConfig, {}))).toMatchObject({ CLICKHOUSE_PASSWORD: '' });
  });
});
