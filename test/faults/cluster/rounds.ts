/** The rounds on three brokers. */
import {
  type ClusterFault,
  cleanStop,
  controller,
  cutFromBrokers,
  cutFromUs,
  diskFull,
  elections,
  groupCoordinator,
  isrOfOne,
  kill,
  leader,
  paused,
  reassignments,
  transactionCoordinator,
  twoDown,
} from './faults.ts';

export interface ClusterRound {
  readonly name: string;
  readonly faults: readonly ClusterFault[];
  readonly leastLeaderMoves: number;
  /** This broker's directory is a small file system. Needs the right to mount a tmpfs. */
  readonly smallDisk?: number;
}

const roll = [1, 2, 3].map(cleanStop);

export const clusterRounds: readonly ClusterRound[] = [
  { name: 'clean rolls', faults: [...roll, ...roll, ...roll], leastLeaderMoves: 36 },
  {
    name: 'cluster kill -9',
    faults: [
      ...Array.from({ length: 3 }, () => kill('kill -9 of a leader', leader)),
      ...Array.from({ length: 2 }, () => kill('kill -9 of the controller', controller)),
      ...Array.from({ length: 2 }, () => kill('kill -9 of the group coordinator', groupCoordinator)),
      ...Array.from({ length: 2 }, () => kill('kill -9 of the transaction coordinator', transactionCoordinator)),
    ],
    leastLeaderMoves: 36,
  },
  { name: 'too few replicas', faults: [isrOfOne, twoDown(1), isrOfOne, twoDown(3)], leastLeaderMoves: 4 },
  { name: 'paused', faults: [paused(1), paused(2)], leastLeaderMoves: 8 },
  { name: 'cut off from brokers', faults: [cutFromBrokers(2), cutFromBrokers(3)], leastLeaderMoves: 8 },
  { name: 'cut off from us', faults: [cutFromUs(1), cutFromUs(3)], leastLeaderMoves: 0 },
  { name: 'elections', faults: [elections(40)], leastLeaderMoves: 100 },
  { name: 'reassignment', faults: [reassignments(6)], leastLeaderMoves: 24 },
  { name: 'cluster disk full', faults: [diskFull(3)], leastLeaderMoves: 4, smallDisk: 3 },
];
