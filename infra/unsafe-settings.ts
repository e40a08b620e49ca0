/**
 * Pure: finds settings of a topic with which the pipeline may lose clicks or state, call a number final too early, or not
 * write at all. Topics are made with other ones (topics.ts), and anybody may change them later with Kafka's own tools,
 * while everything seems to go on: what `retention.ms` of a minute or `cleanup.policy=delete` has removed is missed only
 * by whoever reads from the beginning, days later.
 *
 * Only what harms is found. To keep records for longer, or to allow larger ones, harms nobody. The audit log may also be
 * kept for a shorter time: how long is a decision of who runs the pipeline.
 */
import { type TopicName, topicSettings } from './topics.ts';

export interface UnsafeSetting {
  readonly setting: CheckedSetting;
  readonly value: string;
  /** What it must be. */
  readonly rule: string;
  /** What comes of the value that it has. */
  readonly harm: string;
}

export const checkedSettings = [
  'cleanup.policy',
  'message.timestamp.type',
  'retention.ms',
  'retention.bytes',
  'max.message.bytes',
  'min.insync.replicas',
  'unclean.leader.election.enable',
] as const;
type CheckedSetting = (typeof checkedSettings)[number];

/** Kafka's own default. */
const defaultMessageBytes = 1_048_588;

/**
 * `found`: what the brokers say, of all `checkedSettings`. `replicas`: how many of each partition there are. With two
 * replicas, `min.insync.replicas` may be 1: with 2, nothing could be written while one of them is away.
 */
export function unsafeSettings(
  topic: TopicName,
  found: ReadonlyMap<string, string>,
  replicas: number,
): readonly UnsafeSetting[] {
  const made = topicSettings[topic];
  const policy = made['cleanup.policy'] ?? 'delete';
  const expires = policy === 'delete';
  const keptMs = Number(made['retention.ms'] ?? -1);
  const messageBytes = Number(made['max.message.bytes'] ?? defaultMessageBytes);
  const isUnlimited = (value: string) => Number(value) === -1;
  const checks: Readonly<
    Record<CheckedSetting, readonly [isSafe: (value: string) => boolean, rule: string, harm: string]>
  > = {
    'cleanup.policy': [
      value => value === policy,
      policy,
      expires
        ? 'records are refused, or older ones of the same key are removed'
        : 'state that is kept for ever expires',
    ],
    'message.timestamp.type': [
      value => value === 'LogAppendTime',
      'LogAppendTime',
      'the clocks of producers decide what is final and what has expired',
    ],
    'retention.ms': [
      value => !expires || topic === 'audit' || isUnlimited(value) || Number(value) >= keptMs,
      `at least ${keptMs}, or -1`,
      'records are removed before whoever stood still has read them',
    ],
    'retention.bytes': [
      value => !expires || isUnlimited(value),
      '-1',
      'records are removed before their time, as soon as much comes in',
    ],
    'max.message.bytes': [
      value => Number(value) >= messageBytes,
      `at least ${messageBytes}`,
      'what is larger cannot be written: clicks are refused, or a partition is not counted any more',
    ],
    'min.insync.replicas': [
      value => replicas < 3 || Number(value) >= 2,
      'at least 2 with three replicas',
      'a single machine can lose what was answered with 202',
    ],
    'unclean.leader.election.enable': [
      value => value === 'false',
      'false',
      'a broker that has missed records may lead, and what was answered with 202 is gone',
    ],
  };
  return checkedSettings.flatMap(setting => {
    const value = found.get(setting);
    const [isSafe, rule, harm] = checks[setting];
    return value === undefined || isSafe(value) ? [] : [{ setting, value, rule, harm }];
  });
}
