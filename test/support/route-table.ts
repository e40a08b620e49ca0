/** The requests that a service takes, from its OpenAPI document: the table of them in a document. */
import { ingestDocument, queryApiDocument } from './documents.ts';

/** `ingest` or `query-api`. Health, metrics and the like are the same everywhere, and are left out. */
export async function routeTable(service: string): Promise<string> {
  const { document } = await (service === 'ingest' ? ingestDocument() : queryApiDocument());
  const rows = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { tags }]) => !tags?.includes('operations'))
      .map(([method, { summary = '', parameters = [], security = [] }]) => {
        const asked = parameters.filter(parameter => parameter.in === 'query').map(({ name }) => `\`${name}\``);
        return `| \`${method.toUpperCase()} ${path}\` | ${summary.replaceAll('|', '\\|')} | ${asked.join(' ')} | ${scopesOf(security)} |`;
      }),
  );
  return ['| request | what it answers | parameters | scope |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** An empty choice says that it goes without a key, too. */
function scopesOf(security: readonly Readonly<Record<string, readonly string[]>>[]): string {
  return security.flatMap(({ apiKey = [] }) => apiKey.map(scope => `\`${scope}\``)).join(' ');
}
