/** What an expression of PromQL asks for: which metrics, by which labels. */
import { parser } from '@prometheus-io/lezer-promql';

export interface Selector {
  readonly metric: string;
  /** Labels it is chosen by. */
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
}

export interface Expression {
  readonly selectors: readonly Selector[];
  /** Labels it is summed or matched by. */
  readonly grouping: readonly string[];
}

/** @throws Error where it is not PromQL */
export function parsePromql(text: string): Expression {
  const selectors: { metric: string; matchers: Selector['matchers'][number][] }[] = [];
  const grouping: string[] = [];
  const at = (node: { from: number; to: number }) => text.slice(node.from, node.to);
  parser.parse(text).iterate({
    enter({ name, type, node }) {
      if (type.isError) throw new Error(`not PromQL: ${text}`);
      if (name === 'VectorSelector') selectors.push({ metric: '', matchers: [] });
      const last = selectors.at(-1);
      if (name === 'Identifier' && last) last.metric = at(node);
      if (name === 'UnquotedLabelMatcher' && last) {
        const [label, operator, value] = [node.firstChild, node.firstChild?.nextSibling, node.lastChild];
        if (label && operator && value)
          last.matchers.push({ label: at(label), operator: at(operator), value: at(value).slice(1, -1) });
      }
      if (name === 'LabelName' && node.parent?.name === 'GroupingLabels') grouping.push(at(node));
    },
  });
  return { selectors, grouping };
}
