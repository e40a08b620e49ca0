/** What the command line says when its key is that of a tenant. */
import { describe, expect, it } from 'vitest';
import { tellingTenant } from '../../../../query-api/cli/cli.ts';

describe('the command line', () => {
  it('says once for whose ads alone the answers are, and nothing where they are for all', async () => {
    const tenants: (string | undefined)[] = [undefined, 'acme', 'acme', 'shop'];
    const said: string[] = [];
    const ask = tellingTenant(
      async () => {
        const tenant = tenants.shift();
        return new Response('{}', { headers: tenant === undefined ? {} : { 'x-tenant': tenant } });
      },
      line => said.push(line),
    );
    for (let i = 0; i < 4; i++) expect(await (await ask('http://x/')).json()).toEqual({});
    expect(said).toEqual([
      'adclicks: the key sees the ads of tenant acme alone\n',
      'adclicks: the key sees the ads of tenant shop alone\n',
    ]);
  });
});
