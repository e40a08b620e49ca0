/**
 * Makes this process one of those that share the quotas of API keys (member-shares.ts): appends its beats, and follows
 * those of all.
 */
import { randomUUID } from 'node:crypto';
import { messageOf } from '../errors.ts';
import type { KafkaClient } from '../kafka/client.ts';
import { followLog } from '../kafka/follow-log.ts';
import { createProducer } from '../kafka/producer.ts';
import type { Logger } from '../log.ts';
import { gauge } from '../metrics.ts';
import { pause } from '../pause.ts';
import type { Names } from '../topics.ts';
import { beatOf, beatRecord } from './member-record.ts';
import { MemberShares, shareTerms } from './member-shares.ts';
import type { QuotaShares } from './quota-shares.ts';

export interface QuotaMembers extends QuotaShares, AsyncDisposable {
  /** What this process asks for: is called before each beat, with the time since the last one. */
  tells(demands: (passedMs: number) => Map<string, number>): void;
  /**
   * Resolves when this process may give out its share, when it is known that the members cannot be read, or when `stop`
   * has fired.
   */
  ready(stop: AbortSignal): Promise<void>;
}

export interface QuotaMembersDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
  /** Only processes of one role share. */
  readonly role: 'ingest' | 'query-api';
  /** Whether a process gives out an even share of what it knows until it has joined, instead of nothing. */
  readonly startsWhole: boolean;
}

export function joinQuotaMembers({ kafka, names, log, role, startsWhole }: QuotaMembersDeps): QuotaMembers {
  const member = randomUUID();
  const shares = new MemberShares(member);
  const clock = () => performance.now();
  /** Undefined while there are others, or may be. */
  let aloneSinceMs = startsWhole ? always : undefined;
  let isSettled = false;
  const settled = () => {
    isSettled ||= shares.isSettled(clock());
    return isSettled;
  };
  const follower = followLog({
    ...{ kafka, topic: names.topic('quota-members'), log, group: names.quotasGroup(member) },
    ...{ reader: 'quota-members', what: 'members that share quotas' },
    withoutIt: 'and this process takes an even share of those that it knows',
    // A beat says who was alive at its time.
    expires: true,
    onBatch({ records }) {
      const hadJoined = shares.hasJoined;
      for (const record of records) {
        const beat = beatOf(record);
        if (beat.role === role) shares.take(beat, beat.appendedAt, clock());
      }
      const isAtStart = shares.hasJoined && !hadJoined;
      aloneSinceMs = shares.size > 1 ? undefined : isAtStart ? always : (aloneSinceMs ?? clock());
      members.set(shares.size);
    },
  });
  const beats = keepBeating({ kafka, names, log, role, member, clock });
  const isUnread = () => follower.corrupt !== undefined || (shares.hasJoined && shares.isCutOff(clock()));
  const cutOff = setInterval(() => isCutOff.set(Number(isUnread())), 1_000).unref();
  return {
    shareOf: key => ((startsWhole || follower.corrupt) && !settled() ? 1 / shares.size : shares.shareOf(key, clock())),
    isAlone: () => aloneSinceMs !== undefined && clock() - aloneSinceMs > aloneAfterMs,
    tells: beats.tells,
    async ready(stop) {
      while (!stop.aborted && !settled() && follower.corrupt === undefined) await pause(50, stop);
    },
    async [Symbol.asyncDispose]() {
      clearInterval(cutOff);
      await beats[Symbol.asyncDispose]();
      await follower[Symbol.asyncDispose]();
    },
  };
}

interface Beating extends Omit<QuotaMembersDeps, 'startsWhole'> {
  readonly member: string;
  readonly clock: () => number;
}

function keepBeating({ kafka, names, log, role, member, clock }: Beating) {
  const closing = new AbortController();
  const producer = createProducer(kafka, { acks: 1, timeoutMs: shareTerms.settleMs });
  let demandsOf: (passedMs: number) => Map<string, number> = () => new Map();
  const send = async (hasLeft: boolean, passedMs: number) => {
    const beat = { member, sentAtMs: clock(), hasLeft, demands: demandsOf(passedMs) };
    try {
      await producer.send(names.topic('quota-members'), [beatRecord(role, beat)]);
    } catch (error) {
      log.debug({ why: messageOf(error) }, 'quotas: the beat of this process was not appended');
    }
  };
  const beating = (async () => {
    let beforeMs = clock();
    while (!closing.signal.aborted) {
      const nowMs = clock();
      await send(false, Math.max(nowMs - beforeMs, 1));
      beforeMs = nowMs;
      await pause(Math.max(0, shareTerms.beatMs - (clock() - nowMs)), closing.signal);
    }
    await send(true, shareTerms.beatMs);
  })();
  return {
    tells(demands: typeof demandsOf) {
      demandsOf = demands;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      // The others find out by themselves if it cannot be said.
      await Promise.race([beating, pause(leaveMs)]);
      void beating.finally(() => producer[Symbol.asyncDispose]());
    },
  };
}

const leaveMs = 2_000;
/** Nobody else was there when this process began, so nobody has given out anything. */
const always = Number.NEGATIVE_INFINITY;
/** Until others know that a member has ended, and have settled. */
const aloneAfterMs = shareTerms.aliveMs + shareTerms.settleMs;

const members = gauge('quota_members', 'Processes that share the quotas of API keys with this one, itself among them');
const isCutOff = gauge(
  'quota_members_unread',
  '1 while this process cannot tell how many share the quotas of API keys: it takes an even share of those it knew',
);
