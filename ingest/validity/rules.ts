/**
 * CONTRACT: defines the rules by which a counted click is invalid, and the reasons they give.
 *
 * A click that is no duplicate is judged in the order of `invalidReasons`, and the first rule that applies is its
 * reason. Rules about more than one click look at the clicks of one **cell** (ad, country, minute) alone, and are caps
 * within caps: of one person at one address at most one click in each `double_click_seconds`, of these at most
 * `user_clicks_per_minute` if the person has a user id, of one address at most `address_clicks_per_minute` of what is
 * left, of the cell at most `ad_clicks_per_minute` of what is left then. Each cap lets the same number through in
 * whatever order the clicks come, so the sums of a cell by reason do not depend on the order, and the valid clicks of a
 * cell never become fewer.
 *
 * Copies of one click may have different facts. A click is as good as the best of its copies: the first one whose facts
 * give no reason is judged by the caps, and only if there is none, the click has the reason of its copies that stands
 * first. So a person's click is billed also where a program has loaded its link before.
 *
 * The **person** is the user id, or without one the user agent. A click that has neither is nobody's, and so is one
 * that has a user agent alone, without an address: the caps on persons do not apply to it. Of persons without a user id
 * only double clicks are found: hundreds of people behind one address may have the same browser, so how many clicks such
 * a person has says nothing. A click without an address is under no cap of an address.
 */

/** In the order in which they apply. */
export const invalidReasons = [
  'denied',
  'known_bot',
  'datacentre',
  'prefetch',
  'missing_field',
  'impossible_field',
  'double_click',
  'user_velocity',
  'address_velocity',
  'ad_velocity',
] as const;
export type InvalidReason = (typeof invalidReasons)[number];

/** What the rules of one version say. `false` and 0 mean that a rule does not apply. */
export interface ValidityRules {
  readonly denied: boolean;
  readonly known_bot: boolean;
  readonly datacentre: boolean;
  readonly prefetch: boolean;
  readonly missing_field: boolean;
  readonly impossible_field: boolean;
  /** Seconds, counted from the begin of the minute in steps of this length: one of `doubleClickSteps`. */
  readonly double_click_seconds: number;
  readonly user_clicks_per_minute: number;
  readonly address_clicks_per_minute: number;
  readonly ad_clicks_per_minute: number;
}

/** Divisors of a minute that give at most 32 steps. */
export const doubleClickSteps = [0, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60] as const;

/** A version of the rules. Version 0 is that of minutes before any version began: every click is valid. */
export interface RuleSet {
  readonly version: number;
  readonly rules: ValidityRules;
}

/** Says which version holds for a minute (epoch ms). Its answer for a minute never changes. */
export type RulesAt = (minute: number) => RuleSet;

export const noRules: RuleSet = {
  version: 0,
  rules: {
    ...{ denied: false, known_bot: false, datacentre: false, prefetch: false },
    ...{ missing_field: false, impossible_field: false, double_click_seconds: 0 },
    ...{ user_clicks_per_minute: 0, address_clicks_per_minute: 0, ad_clicks_per_minute: 0 },
  },
};

/** Whether a click may be invalid because of other clicks of its cell. */
export function hasCaps(rules: ValidityRules): boolean {
  const { double_click_seconds, user_clicks_per_minute, address_clicks_per_minute, ad_clicks_per_minute } = rules;
  return double_click_seconds + user_clicks_per_minute + address_clicks_per_minute + ad_clicks_per_minute > 0;
}

/** What is proposed to whoever begins with rules. */
export const recommendedRules: ValidityRules = {
  ...{ denied: true, known_bot: true, datacentre: true, prefetch: true },
  ...{ missing_field: true, impossible_field: true, double_click_seconds: 2 },
  ...{ user_clicks_per_minute: 10, address_clicks_per_minute: 600, ad_clicks_per_minute: 0 },
};
