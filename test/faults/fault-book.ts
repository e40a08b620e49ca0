/** Which faults are still to come, and which have struck while clicks were on their way: others do not count. */
import { type Action, type Role, type StepPoint, stepPoints } from './step-points.ts';

/** One fault of one life of a process. */
export interface FaultPlan {
  readonly step: string;
  readonly action: Action;
  /** At which time of coming by. */
  readonly nth: number;
}

export interface FaultBook {
  /** Undefined once enough have struck. */
  next(role: Role): FaultPlan | undefined;
  /** Returns whether it counts. */
  struck(plan: FaultPlan): boolean;
  /** The process did not come by in time. The next one is to do it the first time that it comes by. */
  missed(plan: FaultPlan): void;
  /** Hits by `step, action`. */
  readonly hits: ReadonlyMap<string, number>;
  count(action: Action): number;
}

export interface FaultGoal {
  readonly kills: number;
  readonly zombies: number;
  readonly lostAnswers: number;
  /** Only step-points whose name begins so, or so (comma-separated); empty: all but those of restatements, which take their time. */
  readonly only: string;
}

/** `isLoaded`: clicks are on their way at this moment. */
export function createFaultBook(goal: FaultGoal, isLoaded: () => boolean): FaultBook {
  const hits = new Map<string, number>();
  const planned = new Map<string, number>();
  const missed = new Set<string>();
  const count = (action: Action) =>
    [...hits].reduce((sum, [key, hit]) => sum + (key.endsWith(`, ${action}`) ? hit : 0), 0);
  const goals: Record<Action, number> = { kill: goal.kills, stop: goal.zombies, fail: goal.lostAnswers };
  const isMeant = (name: string) =>
    goal.only === '' ? !name.startsWith('restatement') : goal.only.split(',').some(begin => name.startsWith(begin));
  return {
    hits,
    count,
    next(role) {
      const wanting = (Object.keys(goals) as Action[]).filter(action => count(action) < goals[action]);
      const choices = stepPoints
        .filter(point => point.role === role && isMeant(point.name))
        .flatMap((point: StepPoint) => point.actions.map(action => ({ step: point.name, action })))
        .filter(({ action }) => wanting.includes(action));
      // The least planned so far; among equals, and of kinds of which many are wanted, by chance.
      const keyed = choices.map(choice => ({ choice, weight: (planned.get(keyOf(choice)) ?? 0) + Math.random() }));
      const [first] = keyed.sort((a, b) => a.weight - b.weight);
      if (first === undefined) return undefined;
      planned.set(keyOf(first.choice), (planned.get(keyOf(first.choice)) ?? 0) + 1);
      const isRare = first.choice.step.startsWith('restatement') || missed.has(keyOf(first.choice));
      return { ...first.choice, nth: isRare ? 1 : 1 + Math.floor(Math.random() ** 2 * 6) };
    },
    missed(plan) {
      missed.add(keyOf(plan));
    },
    struck(plan) {
      if (!isLoaded()) return false;
      hits.set(keyOf(plan), (hits.get(keyOf(plan)) ?? 0) + 1);
      return true;
    },
  };
}

function keyOf({ step, action }: { readonly step: string; readonly action: Action }): string {
  return `${step}, ${action}`;
}
