/** What of a topic's settings is told to be unsafe, and what is left to who runs the pipeline. */
import { describe, expect, it } from 'vitest';
import { type TopicName, topicNames, topicSettings } from '../../../infra/topics.ts';
import { checkedSettings, unsafeSettings } from '../../../infra/unsafe-settings.ts';

const defaults = {
  'cleanup.policy': 'delete',
  'message.timestamp.type': 'CreateTime',
  'retention.ms': '604800000',
  'retention.bytes': '-1',
  'max.message.bytes': '1048588',
  'min.insync.replicas': '2',
  'unclean.leader.election.enable': 'false',
};
const found = (topic: TopicName, changed: Readonly<Record<string, string>> = {}) =>
  new Map(Object.entries({ ...defaults, ...topicSettings[topic], ...changed }));
const unsafe = (topic: TopicName, changed: Readonly<Record<string, string>>, replicas = 3) =>
  unsafeSettings(topic, found(topic, changed), replicas).map(({ setting, value }) => `${setting}=${value}`);

describe('settings of a topic', () => {
  it('are safe as the topics are made', () => {
    for (const topic of topicNames) expect([topic, unsafe(topic, {})]).toEqual([topic, []]);
    expect(checkedSettings.every(setting => setting in defaults)).toBe(true);
  });

  it.each([
    ['clicks', 'cleanup.policy', 'compact'],
    ['clicks', 'cleanup.policy', 'compact,delete'],
    ['keys', 'cleanup.policy', 'delete'],
    ['hot-ads', 'cleanup.policy', 'compact,delete'],
    ['clicks', 'message.timestamp.type', 'CreateTime'],
    ['clicks', 'retention.ms', '60000'],
    ['job-results', 'retention.ms', '604800000'],
    ['aggregates', 'retention.bytes', '1073741824'],
    ['clicks', 'max.message.bytes', '1048588'],
    ['keys', 'max.message.bytes', '100000'],
    ['clicks', 'min.insync.replicas', '1'],
    ['clicks', 'unclean.leader.election.enable', 'true'],
  ] as const)('of %s: %s=%s is unsafe', (topic, setting, value) => {
    expect(unsafe(topic, { [setting]: value })).toEqual([`${setting}=${value}`]);
  });

  it.each([
    ['clicks', 'retention.ms', '-1'],
    ['clicks', 'retention.ms', '2592000000'],
    ['clicks', 'max.message.bytes', '104857600'],
    ['keys', 'retention.ms', '60000'],
    ['keys', 'retention.bytes', '1000'],
    ['audit', 'retention.ms', '86400000'],
    ['clicks', 'min.insync.replicas', '3'],
  ] as const)('of %s: %s=%s harms nobody', (topic, setting, value) => {
    expect(unsafe(topic, { [setting]: value })).toEqual([]);
  });

  it('may have one in-sync replica where there are no three', () => {
    expect(unsafe('clicks', { 'min.insync.replicas': '1' }, 2)).toEqual([]);
  });
});
