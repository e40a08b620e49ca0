/** `adclicks audit`: who has done what, when, and from where, with a key of scope admin. */
import { Command, Option } from 'commander';
import type { AnswerOf } from '../client/client.ts';
import { linesOf } from '../store/row-format.ts';
import { clientOf, type ServiceOptions, show, timeOf, wholeNumber, withService } from './cli.ts';
import { printed } from './printed.ts';
import { type Style, shortTime } from './style.ts';
import { textTable } from './text-table.ts';

interface AuditOptions extends ServiceOptions {
  readonly from?: string;
  readonly to?: string;
  readonly key?: string;
  readonly subject?: string;
  readonly action?: string;
  readonly kind?: 'act' | 'read' | 'refused' | 'sign-in';
  readonly limit: number;
  readonly export?: 'csv' | 'ndjson';
}

type Entry = AnswerOf<'listAudit'>['entries'][number];

/** A page of an export. */
const pageSize = 1_000;
const columns = [
  ...['at', 'until', 'kind', 'by', 'name', 'subject', 'from', 'action', 'parameters', 'requests', 'status', 'id'],
] as const;

export function auditCommand(): Command {
  return withService(new Command('audit'))
    .description('Show who has done what, when, and from where. This needs a key of scope admin in ADCLICKS_API_KEY.')
    .option('--from <time>', 'only entries since then: RFC 3339 or epoch ms', timeOf)
    .option('--to <time>', 'only entries before then', timeOf)
    .option('--key <id>', 'only what was asked for with this key')
    .option('--subject <subject>', 'only what this person has asked for, who was signed in by an identity provider')
    .option('--action <action>', 'only this, such as "POST /v1/replays"')
    .addOption(new Option('--kind <kind>', 'only this kind').choices(['act', 'read', 'refused', 'sign-in']))
    .option('--limit <n>', 'entries to show, the newest', wholeNumber(1, 10_000), 50)
    .addOption(new Option('--export <format>', 'write all entries, for other programs').choices(['csv', 'ndjson']))
    .action(async (given: AuditOptions) => {
      if (given.export === undefined) {
        const entries: Entry[] = [];
        for await (const page of pagesOf(given, given.limit)) entries.push(...page);
        show({ entries }, given, auditText);
        return;
      }
      let isFirst = true;
      for await (const page of pagesOf(given, Number.POSITIVE_INFINITY)) {
        const text = linesOf(page, columns, given.export);
        process.stdout.write(isFirst || given.export === 'ndjson' ? text : text.slice(text.indexOf('\n') + 1));
        isFirst = false;
      }
    });
}

async function* pagesOf(
  { from, to, key, action, kind, subject, ...given }: AuditOptions,
  most: number,
): AsyncGenerator<readonly Entry[]> {
  const client = clientOf(given);
  let cursor: string | undefined;
  let left = most;
  do {
    const query = { from, to, key, action, kind, subject, cursor, limit: Math.min(pageSize, left) };
    const page = await client.ask('listAudit', { query });
    yield page.entries;
    left -= page.entries.length;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && left > 0);
}

/** Pure. */
export function auditText({ entries }: { readonly entries: readonly Entry[] }, style: Style): string {
  if (entries.length === 0) return 'there are no entries\n';
  return textTable(
    [
      { title: 'at' },
      { title: 'by' },
      { title: 'name' },
      { title: 'subject' },
      { title: 'from' },
      { title: 'action' },
      { title: 'status' },
      { title: 'requests', isNumber: true },
      { title: 'parameters' },
    ],
    entries.map(({ at, by, name, subject, from, action, status, requests, parameters }) => [
      shortTime(at),
      by,
      printed(name ?? ''),
      printed(subject ?? ''),
      from ?? '',
      action,
      status === null ? 'unknown' : status < 400 ? style.good(String(status)) : style.bad(String(status)),
      String(requests),
      printed(
        Object.entries(parameters)
          .map(([parameter, value]) => `${parameter}=${value}`)
          .join(' '),
      ),
    ]),
  );
}
