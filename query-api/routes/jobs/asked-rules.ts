/** What a request for a replay may say about rules of invalid clicks, and the effect of such a replay, as it is shown. */
import { type Static, Type } from 'typebox';
import { Problem } from '../../../infra/http.ts';
import { invalid } from '../../../infra/problem.ts';
import { ValidityRulesSchema } from '../../../ingest/validity/rule-set.ts';
import { invalidReasons } from '../../../ingest/validity/rules.ts';
import { moneyOf, pricePattern } from '../../answers/money.ts';
import { countField, isoOf, timeField } from '../../http/parameters.ts';
import { type JudgedClicks, mostListedCells, newRulesReplay, rulesReplayOf } from '../../jobs/recount/rules-replay.ts';
import type { ValidityRulesLog } from '../../log/validity-rules.ts';
import type { DiffOfAd } from '../../store/jobs/diff-rows.ts';
import type { Job } from '../../store/jobs/job.ts';

export const rulesParameters = {
  rules: Type.Optional(
    Type.Integer({
      minimum: 0,
      maximum: 2 ** 31,
      description:
        'Judge the clicks by this version of the rules (`GET /v1/rules`), instead of the one by which each minute was counted. 0: by no rules, so that all clicks are valid.',
    }),
  ),
  draft_rules: Type.Optional(ValidityRulesSchema),
  price_per_click: Type.Optional(
    Type.String({
      pattern: pricePattern.source,
      description: 'With `rules` or `draft_rules`: what a valid click costs, to show the effect in money.',
      examples: ['0.25'],
    }),
  ),
};

const Asked = Type.Object(rulesParameters);

/** Returns what the job judges by, or undefined for the rules of its minutes. @throws Problem */
export async function askedRules(
  { rules, draft_rules, price_per_click, apply = false }: Static<typeof Asked> & { readonly apply?: boolean },
  log: Pick<ValidityRulesLog, 'read'>,
): Promise<Pick<Job, 'reason' | 'result'> | undefined> {
  if (rules !== undefined && draft_rules !== undefined)
    throw invalid('draft_rules', draft_rules, 'must not be given together with rules');
  const by = rules ?? draft_rules;
  if (by === undefined) {
    if (price_per_click === undefined) return undefined;
    throw invalid('price_per_click', price_per_click, 'must be given together with rules or draft_rules');
  }
  if (draft_rules !== undefined && apply) {
    const advice = 'announce them as a draft with POST /v1/rules, and name its version in rules';
    throw invalid(
      'apply',
      apply,
      'must be false with draft_rules, because counts name the version by which they were judged',
      advice,
    );
  }
  if (typeof by === 'number' && by > 0 && !(await known(log)).has(by))
    throw invalid('rules', by, 'must be a version that GET /v1/rules lists, or 0');
  return { reason: 'rules', result: JSON.stringify(newRulesReplay(by, price_per_click ?? null)) };
}

async function known(log: Pick<ValidityRulesLog, 'read'>): Promise<ReadonlySet<number>> {
  try {
    return new Set((await log.read()).versions.map(({ version }) => version));
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem(503, 'unavailable', `the versions of the rules cannot be read at the moment (${detail})`, {}, 2);
  }
}

/** The most ads that are listed. */
export const mostAds = 100;

/** Returns null for a job that judges by the rules of its minutes. */
export function shownEffect(job: Job, ads: readonly DiffOfAd[]): Static<typeof RulesEffectField> {
  const replay = rulesReplayOf(job);
  if (replay === undefined) return null;
  const { by, pricePerClick, found } = replay;
  const shown = (before: JudgedClicks, after: JudgedClicks) => {
    const [net_before, net_after] = [netOf(before), netOf(after)];
    return {
      ...{ clicks_before: before.clicks, clicks_after: after.clicks },
      ...{ invalid_before: before.invalid, invalid_after: after.invalid, net_before, net_after },
      money: pricePerClick === null ? null : moneyOf(net_after - net_before, pricePerClick),
    };
  };
  return {
    rules: typeof by === 'number' ? by : null,
    draft_rules: typeof by === 'number' ? null : by,
    price_per_click: pricePerClick,
    cells: found.cells,
    cells_left_out: Math.max(0, found.cells - mostListedCells),
    ...shown(found.before, found.after),
    by_reason: [...found.byReason],
    by_day: found.byDay.map(({ day, before, after }) => ({ day: isoOf(day), ...shown(before, after) })),
    by_ad: ads.map(({ ad_id, cells, before, after, before_invalid, after_invalid }) => ({
      ...{ ad_id, cells },
      ...shown({ clicks: before, invalid: before_invalid }, { clicks: after, invalid: after_invalid }),
    })),
  };
}

function netOf({ clicks, invalid }: JudgedClicks): number {
  return clicks - invalid;
}

const judgedFields = {
  clicks_before: countField('Distinct clicks as they are counted.'),
  clicks_after: countField('Distinct clicks as recounted.'),
  invalid_before: countField('How many of them are invalid as they are counted.'),
  invalid_after: countField('How many of them are invalid by the named rules.'),
  net_before: countField('Valid clicks as they are counted.'),
  net_after: countField('Valid clicks by the named rules.'),
  money: Type.Union([Type.String(), Type.Null()], {
    description: '(net_after - net_before) × price_per_click, exactly, as a decimal number. Null without a price.',
  }),
};

export const RulesEffectField = Type.Union(
  [
    Type.Object(
      {
        rules: Type.Union([Type.Integer(), Type.Null()], {
          description: 'The version of the rules by which the clicks are judged. Null: draft_rules.',
        }),
        draft_rules: Type.Union([ValidityRulesSchema, Type.Null()]),
        price_per_click: Type.Union([Type.String(), Type.Null()]),
        cells: countField(
          'How many counts (of a minute, an ad and a country) differ. The sums here are those of these counts.',
        ),
        cells_left_out: countField(
          `How many of them are neither in \`by_ad\` nor in \`diff\`, which have the first ${mostListedCells}. All other sums have them.`,
        ),
        ...judgedFields,
        by_reason: Type.Array(
          Type.Object(
            {
              reason: Type.Enum([...invalidReasons], { type: 'string' }),
              before: countField('Invalid clicks for this reason as they are counted.'),
              after: countField('Invalid clicks for this reason by the named rules.'),
            },
            { additionalProperties: false },
          ),
        ),
        by_day: Type.Array(
          Type.Object({ day: timeField('The day, in UTC.'), ...judgedFields }, { additionalProperties: false }),
        ),
        by_ad: Type.Array(
          Type.Object(
            { ad_id: Type.String(), cells: countField('Its counts that differ.'), ...judgedFields },
            { additionalProperties: false },
          ),
          { description: `The ads whose valid clicks change most, at most ${mostAds}.` },
        ),
      },
      { additionalProperties: false },
    ),
    Type.Null(),
  ],
  { description: 'What the named rules change. Null for a job that judges by the rules of its minutes.' },
);
