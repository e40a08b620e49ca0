/**
 * Parses access logs: lines of web servers (combined), load balancers (alb), W3C extended logs (IIS) and CloudFront.
 *
 * Each line is a request. mapping.ts decides which of them are clicks. Columns have the names that the servers use, and
 * `-` means no value. Anyone who sends a request influences a line, so no pattern here may take long for any line.
 */
import { type Columns, type Format, lineFormat, type Row } from './format.ts';

/** `AddLog` of Apache and nginx: common, or combined with any further columns. */
export function combinedFormat(): Format {
  return lineFormat(text => {
    const found = combined.exec(text);
    if (!found) return { problem: 'not a line of a combined log: host ident user [time] "request" status bytes' };
    const [, ip, , user, time, request = '', status, bytes, referer, user_agent] = found;
    return { columns: given({ ip, user, time, ...requestOf(request), status, bytes, referer, user_agent }) };
  });
}

export const combinedColumns = ['ip', 'user', 'time', 'method', 'url', 'status', 'bytes', 'referer', 'user_agent'];

const text = String.raw`"([^"\\]*(?:\\.[^"\\]*)*)"`;
const combined = new RegExp(
  String.raw`^(\S{1,256}) (\S{1,256}) (.{1,256}?) \[([^\]]{1,64})\] ${text} (\d{3}|-) (\d+|-)(?: ${text} ${text})?(?: .*)?$`,
);

/** Application Load Balancer of AWS. New columns are added at the end of its lines. */
export function albFormat(): Format {
  return lineFormat(line => {
    const cells = tokensOf(line);
    const [type = '', time = ''] = cells;
    if (cells.length < 13 || !/^(https?|h2|grpcs|wss?)$/.test(type) || !/^\d{4}-/.test(time))
      return { problem: 'not a line of an ALB log: type time elb client:port target:port … "request" "user_agent" …' };
    const columns = Object.fromEntries(albColumns.map((name, i) => [name, cells[i]]));
    const ip = columns['client']?.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
    return { columns: given({ ...columns, ip, ...requestOf(columns['request'] ?? '') }) };
  });
}

const albFields = [
  ...['type', 'time', 'elb', 'client', 'target', 'request_processing_time', 'target_processing_time'],
  ...['response_processing_time', 'status', 'target_status_code', 'received_bytes', 'sent_bytes', 'request'],
  ...['user_agent', 'ssl_cipher', 'ssl_protocol', 'target_group_arn', 'trace_id', 'domain_name'],
];
export const albColumns = [...albFields, 'ip', 'method', 'url'];

/**
 * W3C extended logs, and those of CloudFront, which use tabs. `#Fields:` names the columns. `header` is the last such
 * line before.
 */
export function w3cFormat(header: string | undefined): Format {
  let fields = header;
  const rowOf = (line: string): Row | undefined => {
    if (line.startsWith('#')) {
      if (line.startsWith(fieldsDirective)) fields = line;
      return undefined;
    }
    const names = w3cNames(fields);
    if (!names) return { problem: 'no #Fields: line before it names the columns' };
    const cells = line.includes('\t') ? line.split('\t') : tokensOf(line);
    if (cells.length !== names.length) return { problem: `${cells.length} columns where #Fields has ${names.length}` };
    const columns: Columns = given(Object.fromEntries(names.map((name, i) => [name, cells[i]])));
    const { date, time } = columns;
    const query = columns['cs-uri-query'] === undefined ? '' : `?${columns['cs-uri-query']}`;
    const url = columns['cs-uri-stem'] === undefined ? columns['cs-uri'] : `${columns['cs-uri-stem']}${query}`;
    const agent = columns[agentColumn];
    return {
      columns: {
        ...columns,
        ...(typeof agent === 'string' && { [agentColumn]: withBlanks(agent) }),
        ...{ url, clicked_at: date && time ? `${date}T${time}Z` : undefined },
      },
    };
  };
  return {
    ...lineFormat(rowOf),
    get header() {
      return fields;
    },
  };
}

const fieldsDirective = '#Fields:';
const agentColumn = 'cs(User-Agent)';

/** No blank can stand in a cell: CloudFront writes it as `%20`, and IIS as `+`. */
function withBlanks(userAgent: string): string {
  if (!/%20/.test(userAgent)) return userAgent.replaceAll('+', ' ');
  try {
    return decodeURIComponent(userAgent);
  } catch {
    return userAgent;
  }
}

function w3cNames(fields: string | undefined): readonly string[] | undefined {
  return fields?.slice(fieldsDirective.length).trim().split(/\s+/);
}

/** Parses `GET /c?ad=7 HTTP/1.1`. Any other text has neither method nor URL. */
function requestOf(request: string): { readonly method?: string | undefined; readonly url?: string | undefined } {
  const [, method, url] = /^([A-Z]{1,32}) (\S+)(?: \S+)?$/.exec(request) ?? [];
  return { method, url };
}

/** Splits at blanks. Cells in quotes may contain blanks. */
function tokensOf(line: string): string[] {
  return [...line.matchAll(/"([^"\\]*(?:\\.[^"\\]*)*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}

function given(columns: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(columns).flatMap(([name, value]) => (value === undefined || value === '-' ? [] : [[name, value]])),
  );
}
