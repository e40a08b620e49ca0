/**
 * The checkpoint as it stands in the metadata of a committed offset (the broker allows 4096 bytes by default). Version 1
 * is JSON. A commit without it is not ours: kafkajs commits one by itself when it falls off the log (group-consumer.ts).
 */
import { Corrupt } from '../infra/errors.ts';
import { decodeAcks, encodeAcks } from './ack-metadata.ts';
import type { Checkpoint } from './core/checkpoint.ts';

export function encodeCheckpoint({ totals, acks, ...checkpoint }: Checkpoint): string {
  return JSON.stringify({ v: 1, ...checkpoint, ...totals, acks: encodeAcks(acks) });
}

/** @throws Corrupt if the text is not a checkpoint */
export function decodeCheckpoint(text: string): Checkpoint {
  const fields = parse(text);
  if (fields['v'] !== 1)
    throw new Corrupt(`the committed offset carries no checkpoint of version 1: ${JSON.stringify(text.slice(0, 200))}`);
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
