/** Which clicks an answer counts (`clicks=`), whether it says why clicks are invalid (`reasons=`), and how it shows them. */

import { Type } from 'typebox';
import { invalid } from '../../infra/problem.ts';
import { type ClickKind, clickKinds } from '../store/net-and-gross.ts';

export const clicksParameter = Type.Optional(
  Type.Enum([...clickKinds], {
    type: 'string',
    // It has no default in the schema: where net is not known, what is left out is not the same as what is asked for.
    description:
      'Which clicks `count` counts, and by which lists are ordered: `net` (as without this parameter) leaves out duplicates and invalid clicks, `gross` has both. An answer that is counted from raw clicks (`user_id`, `ip`, `uniques`, or a filter on users or addresses) has no net clicks. Without this parameter its `count` are the distinct clicks.',
  }),
);

const reasonsParameter = Type.Optional(
  Type.Boolean({
    default: false,
    description: 'Adds why clicks are invalid (`invalid_by`), and by which versions of the rules (`rules`).',
  }),
);

export const clickParameters = { clicks: clicksParameter, reasons: reasonsParameter };

export interface AskedClicks {
  readonly clicks?: ClickKind | undefined;
  readonly reasons?: boolean | undefined;
}

/** The field of an answer that repeats `clicks` of the request. */
export const shownClicksField = {
  clicks: Type.Optional(Type.Enum([...clickKinds], { type: 'string', description: 'As asked for.' })),
};

export function shownClicks({ clicks }: AskedClicks) {
  return clicks === undefined ? {} : { clicks };
}

/** @throws Problem when something is asked for that raw clicks do not say */
export function checkClicks({ clicks, reasons }: AskedClicks, isFromRaw: boolean): void {
  if (!isFromRaw) return;
  const rule =
    'cannot be used together with user_id, ip, uniques, or a filter on users or addresses, because raw clicks do not say which are invalid';
  if (clicks === 'net') throw invalid('clicks', clicks, rule, 'leave it out, or ask for gross');
  if (reasons) throw invalid('reasons', reasons, rule, 'leave it out');
}

/** The fields that `reasons=true` adds. */
export const reasonsFields = {
  invalid_by: Type.Optional(
    Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      description:
        'Only with `reasons=true`: the invalid clicks by the rule that each broke. They add up to `invalid`.',
    }),
  ),
  rules: Type.Optional(
    Type.Object(
      {
        lowest: Type.Integer({ minimum: 0, description: 'The lowest version.' }),
        highest: Type.Integer({ minimum: 0, description: 'The highest version.' }),
      },
      {
        additionalProperties: false,
        description:
          'Only with `reasons=true`: by which versions of the rules these clicks were judged. 0: by none, so all are valid.',
      },
    ),
  ),
};
