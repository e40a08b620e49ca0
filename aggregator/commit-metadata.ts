/**
 * Encodes the checkpoint into the metadata of a committed offset, and decodes it (the broker allows 4096
 * bytes by default).
 *
 * Format 1 (field `v`) is JSON. It may gain fields, because a release ignores fields that it does not know. An older
 * release that takes over the partition commits without them. So whoever adds a field must define what its absence
 * means (for `idsPerAdFrom` see core/checkpoint.ts). Any other change gets a new format number, and a release that
 * meets an unknown number halts (infra/kafka/record-contract.ts).
 *
 * A commit without a checkpoint is not ours: kafkajs commits one by itself when its offset is no longer in the log
 * (group-consumer.ts).
 */
import { Corrupt } from '../infra/errors.ts';
import { unknown } from '../infra/kafka/record-contract.ts';
import { decodeAcks, encodeAcks } from './ack-metadata.ts';
import type { Checkpoint } from './core/checkpoint.ts';

export function encodeCheckpoint({ totals, acks, ...checkpoint }: Checkpoint): string {
  return JSON.stringify({ v: 1, ...checkpoint, ...totals, acks: encodeAcks(acks) });
}

/** @throws Corrupt if the text is not a checkpoint, UnknownFormat if its format is not known */
export function decodeCheckpoint(text: string): Checkpoint {
  const fields = parse(text);
  const shown = JSON.stringify(text.slice(0, 200));
  if (fields['v'] === undefined) throw new Corrupt(`the committed offset has no checkpoint: ${shown}`);
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
      // A release that writes none judges no clicks, and cannot read the rules by which others would.
      invalid: fields['invalid'] === undefined ? 0 : number('invalid'),
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
