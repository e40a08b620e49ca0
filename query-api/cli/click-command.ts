/** `adclicks click`: what became of a click, for whoever misses one in a count. */
import { Command } from 'commander';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, type ServiceOptions, show, withService } from './cli.ts';
import { printed } from './printed.ts';
import { counted, type Style, shortTime } from './style.ts';
import { textTable } from './text-table.ts';

export function clickCommand(): Command {
  return withService(new Command('click'))
    .description(
      'Shows what became of a click: each copy of it that was accepted, whether it is counted, a duplicate or in quarantine, and why; and whether the counted click is valid, or by which rule it is invalid. This needs a key of scope read:personal, if the service needs keys.',
    )
    .argument('<ad_id>', 'the ad')
    .argument('<event_id>', 'the event id of the click, its own or the one in the answer to its post')
    .addHelpText('after', '\nExample:\n  adclicks click ad-42 b3c1')
    .action(async (ad_id: string, event_id: string, given: ServiceOptions) => {
      show(await clientOf(given).ask('getClick', { params: { event_id }, query: { ad_id } }), given, clickText);
    });
}

/** Pure. */
export function clickText({ event_id, is_complete, copies }: AnswerOf<'getClick'>, style: Style): string {
  const table = textTable(
    [
      ...['outcome', 'state', 'ad', 'country', 'clicked', 'received', 'minute'].map(title => ({ title })),
      { title: 'partition', isNumber: true },
      ...['quarantined because', 'restated by job', 'valid', 'click id'].map(title => ({ title })),
    ],
    copies.map(copy => [
      outcomeText(copy.outcome, style),
      style.state(copy.state),
      printed(copy.ad_id),
      printed(copy.country),
      ...[copy.clicked_at, copy.received_at, copy.minute].map(shortTime),
      copy.partition === null ? '-' : `${copy.partition}`,
      printed(copy.reason ?? '-'),
      copy.job ?? '-',
      validityText(copy, style),
      printed(copy.click_id),
    ]),
  );
  const head = `${printed(event_id)}: ${counted(copies.length, 'copy', 'copies', style.count)}${is_complete ? '' : ', and more that are not listed'}\n`;
  return `${head}${table}`;
}

/** Whether the click is billed, by which rule it is not, and by which version of the rules. */
function validityText(
  { validity, invalid_reason, rules }: AnswerOf<'getClick'>['copies'][number],
  style: Style,
): string {
  if (validity === null) return '-';
  const version = rules === null || rules === 0 ? '' : ` (rules ${rules})`;
  if (validity === 'invalid') return `${style.bad(`no: ${printed(invalid_reason ?? '')}`)}${version}`;
  return validity === 'valid' ? `${style.good('yes')}${version}` : `not known${version}`;
}

function outcomeText(outcome: AnswerOf<'getClick'>['copies'][number]['outcome'], style: Style): string {
  if (outcome === 'quarantined') return style.bad(outcome);
  return outcome === 'duplicate' ? outcome : style.good(outcome);
}
