/**
 * Removes from a group the member that a killed process has left in it. Otherwise the broker would reserve the
 * partitions for that member until its session expires, and its successor would have to wait.
 *
 * Static membership (KIP-345) exists for this, but kafkajs does not support it. So the successor finds the dead member
 * by a client id that only one process can have at a time (it has bound the port that is part of it), and leaves the
 * group in that member's name.
 *
 * A mistake does no harm: a living member is told that it is unknown, and joins again. Who owns a partition never
 * depends on membership, but on the fence.
 */
import './fetch-loop.ts';
import './request-frame.ts';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { KafkaClient } from './client.ts';

/** The client id of the process that listens on `port` of this host. Without a fixed port it cannot be recognized. */
export function clientIdAt(service: string, port: number): string {
  return port === 0 ? service : `${service}-${hostname()}-${port}`;
}

/**
 * Must be called before `group` is joined, with a client id from `clientIdAt`. Never rejects: without it, joining only
 * takes longer.
 */
export async function forgetFormerMember(
  kafka: KafkaClient,
  group: string,
  { clientId, port, log }: { readonly clientId: string; readonly port: number; readonly log: Logger },
): Promise<void> {
  if (port === 0) return;
  const admin = kafka.admin();
  try {
    await admin.connect();
    const { groups } = await admin.describeGroups([group]);
    const members = groups.flatMap(({ members }) => members).filter(member => member.clientId === clientId);
    if (members.length === 0) return;
    log.info({ group, members: members.length }, 'a former member with this host and port is removed from the group');
    former.set(
      group,
      members.map(({ memberId }) => memberId),
    );
  } catch (error) {
    log.warn({ group, why: messageOf(error) }, 'former members of the group are not known');
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** Member ids by group, until the group is joined. */
const former = new Map<string, readonly string[]>();

/** As far as it is used. */
interface ConsumerGroup {
  readonly groupId: string;
  readonly cluster: {
    findGroupCoordinator(of: { groupId: string }): Promise<{
      leaveGroup(member: { groupId: string; memberId: string }): Promise<unknown>;
    }>;
  };
  joinAndSync(): Promise<void>;
}

const ConsumerGroup: { prototype: ConsumerGroup } = createRequire(import.meta.url)(
  'kafkajs/src/consumer/consumerGroup.js',
);
const joinAndSync = ConsumerGroup.prototype.joinAndSync;
/** Only a consumer of kafkajs can reach the coordinator of the group. */
ConsumerGroup.prototype.joinAndSync = async function () {
  const { groupId } = this;
  const members = former.get(groupId) ?? [];
  former.delete(groupId);
  if (members.length > 0) {
    // If this fails, joining takes longer.
    await this.cluster
      .findGroupCoordinator({ groupId })
      .then(coordinator => Promise.allSettled(members.map(memberId => coordinator.leaveGroup({ groupId, memberId }))))
      .catch(() => undefined);
  }
  await joinAndSync.call(this);
};
