import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import '../../../../infra/kafka/group-membership.ts';
import type { ConsumerGroup } from '../../../../infra/kafka/group-membership.ts';

const require = createRequire(import.meta.url);
const Group: { readonly prototype: ConsumerGroup } = require('kafkajs/src/consumer/consumerGroup.js');
const Runner: { readonly prototype: { stop(): Promise<void> } } = require('kafkajs/src/consumer/runner.js');
const createRetry: (options: object) => unknown = require('kafkajs/src/retry/index.js');
const Errors: Record<
  'KafkaJSConnectionError' | 'KafkaJSConnectionClosedError' | 'KafkaJSRequestTimeoutError' | 'KafkaJSBrokerNotFound',
  new (
    message: string,
  ) => Error
> = require('kafkajs/src/errors.js');

const logger: object = { namespace: () => logger, debug() {}, error() {}, warn() {}, info() {} };
const brokerError = (type: string) => Object.assign(new Error(type), { type });

/** A group of which the coordinator is found by `findCoordinator`, and counts what is done. */
function groupOf(findCoordinator: () => Promise<never> = async () => Promise.reject(new Error('not asked'))) {
  const did = { refreshed: 0, searched: 0 };
  const group = Object.assign(Object.create(Group.prototype), {
    groupId: 'membership',
    memberId: 'member',
    logger,
    assigners: [],
    retrier: createRetry({ retries: 0 }),
    cluster: {
      async refreshMetadata() {
        did.refreshed++;
      },
      findGroupCoordinator() {
        did.searched++;
        return findCoordinator();
      },
    },
  }) as ConsumerGroup & { memberId: string };
  return { group, did };
}

it.each([
  new Errors.KafkaJSConnectionError('connect ECONNREFUSED'),
  new Errors.KafkaJSConnectionClosedError('closed'),
  new Errors.KafkaJSRequestTimeoutError('timed out'),
  new Errors.KafkaJSBrokerNotFound('not found'),
  brokerError('NOT_LEADER_FOR_PARTITION'),
  brokerError('LEADER_NOT_AVAILABLE'),
  brokerError('UNKNOWN_TOPIC_OR_PARTITION'),
])(
  'after a fetch that failed by “$message” looks who leads, and neither joins again nor ends anything',
  async error => {
    const { group, did } = groupOf();
    await group.recoverFromFetch(error);
    expect(did).toEqual({ refreshed: 1, searched: 0 });
  },
);

it('hands on what does not pass', async () => {
  const { group } = groupOf();
  await expect(group.recoverFromFetch(brokerError('TOPIC_AUTHORIZATION_FAILED'))).rejects.toThrow('AUTHORIZATION');
});

it('joins once, however many fetches find that the topic has grown', async () => {
  const gone = Promise.withResolvers<never>();
  const { group, did } = groupOf(() => gone.promise);
  const grown = Object.assign(new Error('Topic has been updated'), { name: 'KafkaJSStaleTopicMetadataAssignment' });
  const recovered = [1, 2, 3].map(() => group.recoverFromFetch(grown).catch((error: Error) => error.message));
  await sleep(1);
  gone.reject(brokerError('GROUP_AUTHORIZATION_FAILED'));
  expect(await Promise.all(recovered)).toEqual(Array(3).fill('GROUP_AUTHORIZATION_FAILED'));
  expect(did.searched).toBe(1);
});

it('joins as the same member until the coordinator has been found', async () => {
  let left = 3;
  const members: string[] = [];
  const { group } = groupOf(async () => {
    members.push(group.memberId);
    throw brokerError(left-- > 0 ? 'GROUP_LOAD_IN_PROGRESS' : 'GROUP_AUTHORIZATION_FAILED');
  });
  await expect(group.joinAndSync()).rejects.toThrow('GROUP_AUTHORIZATION_FAILED');
  expect(members).toEqual(Array(4).fill('member'));
});

it('joins nothing any more once it has been stopped', async () => {
  const { group, did } = groupOf(async () => Promise.reject(brokerError('GROUP_LOAD_IN_PROGRESS')));
  const joined = group.joinAndSync();
  await Object.assign(Object.create(Runner.prototype), { running: false, consumerGroup: group }).stop();
  await expect(joined).rejects.toThrow('has been stopped');
  const { searched } = did;
  await expect(group.joinAndSync()).rejects.toThrow('has been stopped');
  expect(did.searched).toBe(searched);
});

it('breaks off what it fetches when it is stopped, and looks for no leader because of that', async () => {
  const { group, did } = groupOf();
  let rejected: unknown;
  const fetches = {
    rejectRequests(error: unknown) {
      rejected = error;
    },
    disconnect: async () => undefined,
  };
  Object.assign(group.cluster, { brokerPool: { brokers: { 1: { connectionPool: { pool: [{}, fetches] } } } } });
  await Object.assign(Object.create(Runner.prototype), { running: false, consumerGroup: group }).stop();
  expect(rejected).toBeInstanceOf(Error);
  await group.recoverFromFetch(rejected);
  expect(did.refreshed).toBe(0);
});
