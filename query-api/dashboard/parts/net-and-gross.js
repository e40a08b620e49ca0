/** Says in words what stands beside a net number: how many clicks there are in all, and how many of them are invalid. */
import { number } from '../format.js';

/** What an answer says of clicks. Null: raw clicks do not say it. @typedef {{ readonly gross: number, readonly invalid: number | null }} Clicks */

/** @param {Clicks} clicks */
export function grossText({ gross }) {
  return `of ${number(gross)} gross`;
}

/** @param {Clicks} clicks */
export function besideText({ gross, invalid }) {
  return `${number(gross)} gross, ${invalid === null ? 'invalid ones not known' : `${number(invalid)} invalid`}`;
}

/** Why clicks are invalid, the most frequent reason first. @param {Readonly<Record<string, number>>} reasons */
export function reasonsText(reasons) {
  const sorted = Object.entries(reasons).sort(([, a], [, b]) => b - a);
  return sorted.map(([reason, clicks]) => `${number(clicks)} ${ruleText(reason)}`).join(', ');
}

/** The name of a rule of invalid clicks, in words. @param {string} reason */
export function ruleText(reason) {
  return reason.replaceAll('_', ' ');
}
