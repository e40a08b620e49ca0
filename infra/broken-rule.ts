/**
 * Builds the message about a value that breaks a rule, in a request, a click or a setting: one sentence in plain words,
 * with the field, its shortened value, the rule, and what to do when that does not follow from the rule:
 *
 *     to is "1795910400000", but must be at most 31 days after from, and is 89 days after it: ask for a shorter range, or for several
 *
 * Validators express rules in the words of schemas (`must NOT have additional properties`). `ruleOf` expresses them in
 * ours.
 */

/** `value` is undefined when none was given. `rule` begins with `must` or a similar word. `advice` says what to do. */
export function brokenRule(field: string, value: unknown, rule: string, advice?: string): string {
  const given = value === undefined ? 'is not given' : `is ${shown(value)}`;
  return `${field} ${given}, but ${rule}${advice === undefined ? '' : `: ${advice}`}`;
}

/** Returns the value as JSON, shortened. A refusal must not send back what may be very long. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(beginOf(value)) : (JSON.stringify(value) ?? '');
  return text.length > shownCharacters ? `${beginOf(text, shownCharacters)}…` : text;
}

/** Takes the beginning without copying what may be megabytes, and without half a character at its end. */
function beginOf(text: string, length = shownCharacters + 1): string {
  return text.length <= length ? text : text.slice(0, length).toWellFormed();
}

const shownCharacters = 60;

/** Returns the pattern, and remembers the meaning that comes after `must be` for every schema that has it. */
export function explained(pattern: RegExp, meaning: string): RegExp {
  meanings.set(pattern.source, meaning);
  return pattern;
}

const meanings = new Map<string, string>();

/** One of the errors that ajv and TypeBox report. */
export interface SchemaError {
  readonly keyword: string;
  readonly params: object;
}

/**
 * Returns what the value must be, in words. `oneOf` contains the values that a union of constants allows, if the schema
 * is one.
 */
export function ruleOf({ keyword, params }: SchemaError, oneOf?: readonly unknown[]): string {
  const { limit, type, pattern, format, allowedValue, allowedValues } = params as Params;
  if (oneOf !== undefined) return `must be ${listed(oneOf)}`;
  switch (keyword) {
    case 'type':
      return `must be ${[type ?? ''].flat().map(kindOf).join(' or ')}`;
    case 'enum':
      return `must be ${listed(allowedValues ?? [])}`;
    case 'const':
      return `must be ${String(allowedValue)}`;
    case 'minimum':
      return `must be at least ${limit}`;
    case 'maximum':
      return `must be at most ${limit}`;
    case 'exclusiveMinimum':
      return `must be more than ${limit}`;
    case 'exclusiveMaximum':
      return `must be less than ${limit}`;
    case 'minLength':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} characters`;
    case 'maxLength':
      return `must have at most ${limit} characters`;
    case 'minItems':
      return limit === 1 ? 'must not be empty' : `must list at least ${limit}`;
    case 'maxItems':
      return `must list at most ${limit}`;
    case 'minProperties':
      return limit === 1 ? 'must not be empty' : `must have at least ${limit} fields`;
    case 'pattern':
      return `must be ${meanings.get(String(pattern)) ?? 'of another form'}`;
    case 'format':
      return `must be a ${format}`;
    case 'required':
      return 'must be';
    case 'additionalProperties':
      return 'is not known here';
    default:
      return 'must be something else';
  }
}

interface Params {
  readonly limit?: number;
  readonly type?: string | readonly string[];
  readonly pattern?: unknown;
  readonly format?: string;
  readonly allowedValue?: unknown;
  readonly allowedValues?: readonly unknown[];
}

const kinds: Readonly<Record<string, string>> = {
  integer: 'a whole number',
  number: 'a number',
  string: 'a text',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
};

function kindOf(type: string): string {
  return kinds[type] ?? type;
}

/** Returns `a, b or c`. A single text is returned as it is. */
function listed(values: readonly unknown[]): string {
  const texts = values.map(String);
  const last = texts.pop() ?? '';
  return texts.length === 0 ? last : `${texts.join(', ')} or ${last}`;
}
