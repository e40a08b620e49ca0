/**
 * The checkpoint as it stands in the metadata of a committed offset (the broker allows 4096 bytes by default). Format 1
 * (field `v`) is JSON. It may gain fields, as those are passed over that are not known; an older release that takes the
 * partition over commits without them, so whoever adds one says what its absence means (`idsPerAdFrom`:
 * core/checkpoint.ts). What else changes has a new number, and who meets one that it does not know stands
 * (infra/kafka/record-contract.ts). A commit without a checkpoint is not ours: kafkajs commits one by itself when it
 * falls off the log (group-consumer.ts).
 */
import { Corrupt } from '../infra/errors.ts';
import { unknown } from '../infra/kafka/record-contract.ts';
import { decodeAcks, encodeAcks } from './ack-metadata.ts';
import type { Checkpoint } from './core/checkpoint.ts';

export function encodeCheckpoint({ totals, acks, ...checkpoint }: Checkpoint): string {
  return JSON.stringify({ v: 1, ...checkpoint, ...totals, acks: encodeAcks(acks) });
}

/** @throws Corrupt if the text is not a checkpoint, UnknownFormat if it is one of a format that is not known */
export function decodeCheckpoint(text: string): Checkpoint {
  const fields = parse(text);
  const shown = JSON.stringify(text.slice(0, 200));
  if (fields['v'] === undefined) throw new Corrupt(`the committed offset carries no checkpoint: ${shown}`);
  if (fields['v'] !== 1)
    throw unknown(`the format of the checkpoint beside the committed offset, ${shown},`, 'format 1');
  const number = (name: string) => {
    const value = fields[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    throw new Corrupt(`the checkpoint beside the committed offset lacks ${name}: ${text.slice(0, 200)}`);
  };
  return {
    restoreFrom: number('restoreFrom'),
    watermarkAtRestoreFrom: number('watermarkAtRestoreFrom'),
    watermark: number('watermark'),
    finalUntil: number('finalUntil'),
    totals: {
      received: number('received'),
      counted: number('counted'),
      duplicates: number('duplicates'),
      quarantined: number('quarantined'),
    },
    idsPerAdFrom: fields['idsPerAdFrom'] === undefined ? undefined : number('idsPerAdFrom'),
    acks: decodeAcks(fields['acks']),
  };
}

function parse(text: string): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(text);
    return typeof json === 'object' && json !== null ? { ...json } : {};
  } catch {
    return {};
  }
}
