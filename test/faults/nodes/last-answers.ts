/** At rest every query API tells exactly what the log holds: for each minute that had clicks, each ad's distinct ones. */
import { readCommitted } from '../../support/read-committed.ts';
import type { NodesStage } from './stage.ts';

interface Click {
  readonly event_id: string;
  readonly ad_id: string;
  readonly clicked_at: number;
}

const minuteMs = 60_000;

export async function lastAnswers({ brokers, names, queryApis }: NodesStage): Promise<string[]> {
  const minutes = new Map<number, Map<string, Set<string>>>();
  for (const { line } of await readCommitted(brokers, names.topic('clicks'))) {
    const { event_id, ad_id, clicked_at } = JSON.parse(line) as Click;
    const minute = clicked_at - (clicked_at % minuteMs);
    const ads = minutes.get(minute) ?? new Map<string, Set<string>>();
    minutes.set(minute, ads.set(ad_id, (ads.get(ad_id) ?? new Set()).add(event_id)));
  }
  const found: string[] = [];
  for (const { url, name } of queryApis) {
    for (const [minute, ads] of minutes) {
      const response = await fetch(`${url}/v1/ads/popular_ads?count=1000&from=${minute}&to=${minute + minuteMs}`);
      const body = (await response.json()) as { state: string; ads: { ad_id: string; count: number }[] };
      const told = new Map(body.ads?.map(({ ad_id, count }) => [ad_id, count]));
      const wrong = [...new Set([...ads.keys(), ...told.keys()])].filter(
        ad => (ads.get(ad)?.size ?? 0) !== (told.get(ad) ?? 0),
      );
      const [ad = ''] = wrong;
      if (!response.ok || wrong.length > 0)
        found.push(
          `last answers: ${name}, ${new Date(minute).toISOString()} (${response.status} ${body.state}): ${wrong.length} ads differ; ` +
            `${ad}: ${told.get(ad) ?? 0} instead of ${ads.get(ad)?.size ?? 0}`,
        );
    }
  }
  return found;
}
