/** Reads the versions of the rules of invalid traffic from topic `hot-ads`, and announces further ones. */

import { type AnnounceDeps, announceRules, soonestFrom } from '../../ingest/hot-ads/announce-rules.ts';
import type { PartitionRecord } from '../../ingest/hot-ads/partition-record.ts';
import type { AnnouncedRules, RulesVersion } from '../../ingest/validity/rule-set.ts';
import type { RuleSet } from '../../ingest/validity/rules.ts';

export interface ValidityRulesLog {
  /** @throws Retryable when the log cannot be read to its end */
  read(): Promise<RulesNow>;
  /** @throws RulesRefused, Retryable */
  announce(asked: Omit<AnnouncedRules, 'ruleId'>): Promise<RulesVersion>;
}

export interface RulesNow {
  /** In the order of the log. */
  readonly versions: readonly RulesVersion[];
  /** What holds in a minute (epoch ms). @throws Retryable when it is not known yet */
  readonly at: (minute: number) => RuleSet;
  /** The first minute (epoch ms) for which rules may be announced at this time (epoch ms). */
  readonly soonestFrom: (now: number) => number;
}

export function validityRulesOver(deps: AnnounceDeps & { readonly record: PartitionRecord }): ValidityRulesLog {
  const { record, terms } = deps;
  const { book } = record;
  return {
    async read() {
      await record.readToEnd();
      return {
        versions: book.versions,
        at: minute => book.rulesAt(minute),
        soonestFrom: now => soonestFrom(now, terms),
      };
    },
    announce: asked => announceRules(asked, deps),
  };
}
