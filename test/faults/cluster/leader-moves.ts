/**
 * How often partitions got another leader, from what metadata showed. A broker that is cut off from the others goes on
 * telling of the leaders it knew: what is taken back within a moment was its word against theirs, and no move.
 */
import type { LeaderMove } from '../../support/cluster-control.ts';

const takenBackWithinMs = 1_500;

export function countLeaderMoves(seen: readonly LeaderMove[], from: number): number {
  const counted = new Map<number, { leader: number; before: number; at: number }>();
  let moves = 0;
  for (const move of seen) {
    const last = counted.get(move.partition) ?? { leader: move.from, before: -1, at: 0 };
    // A partition without a leader for a while is no move; it may come back to the same one.
    if (move.to === -1 || move.to === last.leader) {
      counted.set(move.partition, last);
      continue;
    }
    const isTakenBack = move.to === last.before && move.at - last.at < takenBackWithinMs;
    if (move.at >= from) moves += isTakenBack ? -1 : 1;
    counted.set(move.partition, {
      leader: move.to,
      before: isTakenBack ? -1 : last.leader,
      at: move.at,
    });
  }
  return moves;
}
