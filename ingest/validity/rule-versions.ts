/** Holds the versions of the rules of invalid traffic that one process has read, in the order of the log (rule-set.ts). */
import { type AnnouncedRules, mostVersions, type RulesVersion, versionAt } from './rule-set.ts';
import type { RuleSet } from './rules.ts';

export class RuleVersions {
  #all: readonly RulesVersion[] = [];

  get all(): readonly RulesVersion[] {
    return this.#all;
  }

  /** Whether there are more than a sound log has. */
  get areTooMany(): boolean {
    return this.#all.length > mostVersions;
  }

  /** Returns the version, or undefined when it was read before. */
  add(announced: AnnouncedRules, announcedAt: number, holds: boolean): RulesVersion | undefined {
    if (this.#all.some(({ ruleId }) => ruleId === announced.ruleId)) return undefined;
    const version = { ...announced, version: this.#all.length + 1, announcedAt, holds };
    this.#all = [...this.#all, version];
    return version;
  }

  at(minute: number): RuleSet {
    return versionAt(this.#all, minute);
  }
}
