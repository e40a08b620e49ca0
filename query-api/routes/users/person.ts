/** The person whom a request names, and the texts under which their clicks may be kept. */
import { Type } from 'typebox';
import { limits } from '../../../ingest/click.ts';
import type { KeptForms } from '../../http/kept-forms.ts';
import { personalRowsKeptDays } from '../../store/person-rows.ts';

export const userIdField = Type.String({
  minLength: 1,
  maxLength: limits.userIdLength,
  description: 'The id of the user in the plain form, as clicks were posted with it.',
  examples: ['u-17'],
});

export const UserIdParams = Type.Object({ user_id: userIdField });

/** Clicks may be a moment ahead of the clock, and expire by whole days. */
export function textsOf(userId: string, { ofUserId }: KeptForms, now: number): readonly string[] {
  return ofUserId(userId, { from: now - (personalRowsKeptDays + 2) * dayMs, to: now + dayMs });
}

const dayMs = 86_400_000;
