/** Multiplies a price by a number of clicks, exactly. Prices and sums are decimal numbers as text, in whatever currency. */
import { explained } from '../../infra/broken-rule.ts';

/** 12 digits before the point and 12 after it at most. */
export const pricePattern = explained(
  /^(0|[1-9][0-9]{0,11})(\.[0-9]{1,12})?$/,
  'a decimal number such as 0.25, with at most 12 digits before the point and 12 after it',
);

/** `price` has the form of `pricePattern`. `clicks` may be negative. The sum has as many decimals as the price. */
export function moneyOf(clicks: number, price: string): string {
  const [whole = '', decimals = ''] = price.split('.');
  const sum = BigInt(clicks) * BigInt(whole + decimals);
  const digits = `${sum < 0n ? -sum : sum}`.padStart(decimals.length + 1, '0');
  const at = digits.length - decimals.length;
  const text = decimals.length === 0 ? digits : `${digits.slice(0, at)}.${digits.slice(at)}`;
  return sum < 0n ? `-${text}` : text;
}
