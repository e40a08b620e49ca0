/**
 * What the aggregator must say, stated a second time and in another way: plain objects, JSON.parse, a scan over all that
 * came before. Shares no code with `aggregator/core/`.
 */
export interface OracleRecord {
  readonly appendedAt: number;
  /** Lines as sent, canonical or not. */
  readonly lines: readonly string[];
}

export interface OracleResult {
  /** `minute|ad|country` → counts. */
  readonly cells: Map<string, { clicks: number; duplicates: number; late: number }>;
  readonly quarantined: { offset: number; line: number; reason: string }[];
  readonly watermark: number;
}

export function oracle(
  records: readonly OracleRecord[],
  outOfOrdernessMs: number,
  allowedLatenessMs: number,
  /** Minutes from this on tell clicks apart by ad and event id, earlier ones by event id alone; epoch ms. */
  idsPerAdFrom = 0,
): OracleResult {
  const cells: OracleResult['cells'] = new Map();
  const quarantined: OracleResult['quarantined'] = [];
  const seen = new Set<string>();
  let watermark = 0;
  const move = (to: number) => {
    watermark = Math.max(watermark, to - outOfOrdernessMs);
  };
  for (const [offset, { appendedAt, lines }] of records.entries()) {
    if (lines.length === 0) move(appendedAt);
    for (const [line, text] of lines.entries()) {
      const parsed = tryParse(text);
      if (parsed === undefined) {
        quarantined.push({ offset, line, reason: 'malformed' });
        continue;
      }
      const { ad_id, event_id, clicked_at, country } = parsed;
      const minute = Math.floor(clicked_at / 60_000);
      if (clicked_at > appendedAt + 300_000) {
        quarantined.push({ offset, line, reason: 'future' });
        move(appendedAt);
        continue;
      }
      if ((minute + 1) * 60_000 + allowedLatenessMs <= watermark) {
        quarantined.push({ offset, line, reason: 'too_late' });
        continue;
      }
      const key = `${minute * 60}|${ad_id}|${country}`;
      const cell = cells.get(key) ?? { clicks: 0, duplicates: 0, late: 0 };
      cells.set(key, cell);
      const id = `${minute}|${minute * 60_000 >= idsPerAdFrom ? ad_id : ''}|${event_id}`;
      if (seen.has(id)) cell.duplicates++;
      else {
        seen.add(id);
        cell.clicks++;
        if ((minute + 1) * 60_000 <= watermark) cell.late++;
      }
      move(Math.min(clicked_at, appendedAt));
    }
  }
  return { cells, quarantined, watermark };
}

interface Parsed {
  readonly ad_id: string;
  readonly event_id: string;
  readonly clicked_at: number;
  readonly country: string;
}

function tryParse(text: string): Parsed | undefined {
  try {
    const json = JSON.parse(text);
    return typeof json.ad_id === 'string' && typeof json.clicked_at === 'number' ? json : undefined;
  } catch {
    return undefined;
  }
}
