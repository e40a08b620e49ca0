/** What the page says in place of something that needs a scope which the key of this browser does not have. */
import { h } from '../dom.js';
import { currentSession, may } from '../session.js';

/** @import { Scope } from '../api-types.ts' */

/** Returns nothing if the scope is there. `what` begins the sentence, with its verb. @param {Scope} scope @param {string} what */
export function lacking(scope, what) {
  if (may(scope)) return undefined;
  const { key } = currentSession();
  const who = key === null ? 'Sign in with one that has it.' : `The key “${key.label}” does not have it.`;
  return h(
    'p',
    { class: 'notice', 'data-lacks': scope, 'data-lasting': '' },
    `${what} an API key with scope ${scope}. ${who}`,
  );
}
