/**
 * `node --import …/newer-release.ts …`: this release as one after it may be, which reads another format of clicks and
 * writes another of rows besides those of today.
 */
import { plantInSource } from '../mutations/plant-in-source.ts';

plantInSource({
  name: 'reads format 2 of clicks',
  file: 'ingest/click-records.ts',
  edits: [['[anyKind]: [1]', '[anyKind]: [1, 2]']],
});
plantInSource({
  name: 'writes format 3 of rows',
  file: 'aggregator/ad-minute.ts',
  edits: [
    ['export const rowFormat = 1;', 'export const rowFormat = 3;'],
    ['[recordKinds.adMinute]: [1, 2]', '[recordKinds.adMinute]: [1, 2, 3]'],
    ['[recordKinds.progress]: [1]', '[recordKinds.progress]: [1, 3]'],
    ['[recordKinds.quarantine]: [1]', '[recordKinds.quarantine]: [1, 3]'],
  ],
});
