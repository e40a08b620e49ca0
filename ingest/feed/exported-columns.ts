/**
 * CONTRACT: the columns of exports that have clicks in them (GET /v1/exports/clicks, GET /v1/quarantine/export). What has
 * exactly these is ours, so `npm run feed` makes of each row the click that it was (exported-row.ts), and takes off what
 * the rule for CSV has put before its texts (infra/csv.ts). In any other file an apostrophe is part of the id it stands in.
 */
export const clickColumns = [
  ...['click_id', 'event_id', 'ad_id', 'clicked_at', 'received_at', 'country', 'user_id', 'ip'],
  ...['facts', 'user_agent', 'referrer'],
] as const;

/** The columns of exports from before clicks had facts. */
export const earlierClickColumns = [
  ...['click_id', 'event_id', 'ad_id', 'clicked_at', 'received_at', 'country', 'user_id', 'ip'],
] as const;

/** The columns of exports that did not yet contain what had become of a line. */
export const earlierQuarantineColumns = [
  ...['partition', 'offset', 'line', 'reason', 'detail', 'appended_at', 'ad_id', 'event_id', 'clicked_at', 'raw'],
] as const;

export const quarantineColumns = [...earlierQuarantineColumns, 'outcome'] as const;
