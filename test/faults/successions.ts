/**
 * Judges how soon a job runner that was struck is succeeded. What is promised is the time in which another one is there
 * that could: neither killed, nor stopped, nor still starting. While all are struck nobody can succeed anybody, and the
 * time that passes then says nothing of the lease. So two times are told of each succession: from the blow, and from the
 * later of the blow and the moment since when there has been one that is well. One that was stopped and goes on counts as
 * struck until it has been started anew, as the bench kills it without further notice.
 */

export interface Succession {
  readonly by: string;
  /** From the blow until the next term is visible, ms. */
  readonly sinceBlowMs: number;
  /** Of that, since another has been well all the time; undefined: none was when the term was seen. */
  readonly sinceWellMs: number | undefined;
}

export interface Successions {
  /** By runner. */
  wellAt(runner: string, now: number): void;
  unwellAt(runner: string, now: number): void;
  /** Whoever is active, or is about to be, was struck; it is unwell from now on. */
  blow(runner: string, by: string, now: number): void;
  /** A term is seen for the first time. */
  term(runner: string, since: number, now: number): void;
  readonly active: string | undefined;
  readonly terms: number;
  readonly all: readonly Succession[];
}

export function createSuccessions(): Successions {
  const well = new Map<string, number>();
  const all: Succession[] = [];
  let [active, terms]: [string | undefined, number] = [undefined, 0];
  let struck: { readonly at: number; readonly by: string } | undefined;
  const blow = (runner: string, by: string, now: number) => {
    well.delete(runner);
    // A second blow meanwhile strikes the successor: what counts begins with it.
    struck = { at: now, by };
  };
  return {
    get active() {
      return active;
    },
    get terms() {
      return terms;
    },
    all,
    wellAt: (runner, now) => void (well.has(runner) || well.set(runner, now)),
    unwellAt(runner, now) {
      if (runner === active && struck === undefined) blow(runner, 'its end', now);
      well.delete(runner);
    },
    blow,
    term(runner, since, now) {
      terms++;
      // Whoever was announced before has not succeeded the one that was struck.
      if (struck !== undefined && since >= struck.at) {
        const from = well.size === 0 ? undefined : Math.max(struck.at, Math.min(...well.values()));
        const sinceWellMs = from === undefined ? undefined : now - from;
        all.push({ by: struck.by, sinceBlowMs: now - struck.at, sinceWellMs });
        struck = undefined;
      }
      active = runner;
    },
  };
}

const longestMs = 10_000;

export function toldOf({ terms, all }: Pick<Successions, 'terms' | 'all'>): {
  readonly note: string;
  readonly violations: readonly string[];
} {
  const measured = all.filter(({ sinceWellMs }) => sinceWellMs !== undefined);
  const ofBlow = spread(all.map(({ sinceBlowMs }) => sinceBlowMs));
  const ofWell = spread(measured.map(({ sinceWellMs = 0 }) => sinceWellMs));
  const note = `${terms} terms; after a blow the next was visible within ${ofWell} while another runner was there to succeed, of ${measured.length}; from the blow itself, also where none was, ${ofBlow}, of ${all.length}`;
  const late = measured
    .filter(({ sinceWellMs = 0 }) => sinceWellMs > longestMs)
    .map(({ sinceWellMs = 0, sinceBlowMs, by }) => `${seconds(sinceWellMs)} (${seconds(sinceBlowMs)}) after ${by}`);
  const violations =
    late.length === 0 ? [] : [`I12 a successor within ${seconds(longestMs)}: ${late.slice(0, 5).join('; ')}`];
  return { note, violations };
}

function spread(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${seconds(sorted[sorted.length >> 1])} (median), ${seconds(sorted.at(-1))} at most`;
}

function seconds(ms = 0): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
