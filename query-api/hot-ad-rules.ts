/** The rules for hot ads as topic `hot-ads` holds them. It is followed from when it is first asked for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Retryable } from '../infra/errors.ts';
import type { KafkaClient } from '../infra/kafka/client.ts';
import type { Logger } from '../infra/log.ts';
import type { Names } from '../infra/topics.ts';
import type { HotAdRule, HotAdTerms } from '../ingest/hot-ads/rule.ts';
import { RuleBook } from '../ingest/hot-ads/rule-book.ts';
import { followRules, type RuleReader } from '../ingest/hot-ads/rule-reader.ts';

export interface HotAdRules extends AsyncDisposable {
  /** All that hold, also those that are over but still kept. @throws Retryable where the log cannot be read to its end */
  hotAds(): Promise<readonly HotAdRule[]>;
  /** Throws where the log holds what cannot be read. */
  checkHotAds(): void;
}

export interface HotAdRulesDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  /** Of the topic's one partition. */
  readonly endOffset: () => Promise<number>;
  readonly terms: HotAdTerms;
  readonly log: Logger;
}

export function createHotAdRules({ kafka, names, endOffset, terms, log }: HotAdRulesDeps): HotAdRules {
  const book = new RuleBook(terms);
  let reader: RuleReader | undefined;
  return {
    async hotAds() {
      reader ??= followRules({ kafka, names, book, log });
      const end = await endOffset();
      for (let waitedMs = 0; book.position < end; waitedMs += 50) {
        if (book.isCorrupt) book.check();
        if (waitedMs >= giveUpMs) throw new Retryable(`topic hot-ads is read up to ${book.position} of ${end}`);
        await sleep(50);
      }
      return book.rules;
    },
    checkHotAds: () => book.check(),
    async [Symbol.asyncDispose]() {
      await reader?.[Symbol.asyncDispose]();
    },
  };
}

const giveUpMs = 5_000;
