/**
 * Checks that the rows of an answer have the shape that the code expects, so that a wrong answer is an error where it
 * comes in, and not a wrong number later.
 *
 * A schema is compiled once into a function. A row of ten fields then costs well under a microsecond, a small part of
 * parsing it. Further columns are allowed, because a newer release may have added them.
 */
import type { Static, TObject } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { ruleOf, shown } from '../broken-rule.ts';
import { Corrupt } from '../errors.ts';

/** `what` is named in the error, for example `schema_migration`. @throws Corrupt naming the row, its field, value and rule */
export function checkedRows<T extends TObject>(schema: T, rows: readonly unknown[], what: string): Static<T>[] {
  const validator = validators.get(schema) ?? Compile(schema);
  validators.set(schema, validator);
  const wrong = rows.findIndex(row => !validator.Check(row));
  if (wrong !== -1) throw wrongRow(validator, rows[wrong], `${what}, row ${wrong + 1}`);
  return rows as Static<T>[];
}

const validators = new WeakMap<TObject, Validator>();

function at(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

function wrongRow(validator: Validator, row: unknown, where: string): Corrupt {
  const [error] = validator.Errors(row);
  if (error === undefined) return new Corrupt(`${where}: ${shown(row)}, but must be a row`);
  const path = error.instancePath.split('/').slice(1);
  if (error.keyword === 'required')
    return new Corrupt(`${where}: ${error.params.requiredProperties.join(', ')} is not given, but must be`);
  const value = path.reduce(at, row);
  return new Corrupt(
    `${where}: ${path.length === 0 ? '' : `${path.join('.')} is `}${shown(value)}, but ${ruleOf(error)}`,
  );
}
