/** Operations: how far each partition is counted, whether every line is accounted for, what is in quarantine, and the health of each part. */

import { h } from '../dom.js';
import { compact, counted, duration, number, shortTime, timeElement } from '../format.js';
import { isFresh, listen } from '../live.js';
import { createConservation } from '../parts/conservation.js';
import { createHealth } from '../parts/health.js';
import { reasonText } from '../parts/outcomes.js';
import { createPartitions } from '../parts/partitions.js';
import { createQuarantine } from '../parts/quarantine-card.js';
import { createTiles } from '../parts/tiles.js';
import { createZonePicker } from '../parts/zone-picker.js';
import { every } from '../poll.js';

/** @import { Address } from '../address.js' */
/** @import { StatusAnswer } from '../api-types.ts' */
/** @import { Tiles } from '../parts/tiles.js' */

/** @typedef {Readonly<typeof tileNames>} TileNames */

/** @param {HTMLElement} root */
export function mount(root) {
  const zonePicker = createZonePicker();
  const tiles = createTiles('The pipeline', tileNames);
  const liveTiles = tiles.part(['rate']);
  const conservation = createConservation();
  const health = createHealth();
  const partitions = createPartitions({
    fills: [tiles.part(['watermark', 'final', 'unread', 'quarantined', 'balance']), conservation],
    onStatus(status) {
      showTiles(tiles, status);
      conservation.show(status.conservation, status.late);
      health.jobs(status.job_runner);
    },
  });
  const quarantine = createQuarantine();

  root.append(
    h('div', { class: 'top' }, h('h1', {}, 'Operations'), zonePicker.element),
    h(
      'div',
      { class: 'grid' },
      tiles.element,
      conservation.element,
      health.element,
      partitions.element,
      quarantine.element,
    ),
  );

  const stopListening = listen((event, state) => {
    liveTiles.stale(!isFresh(state));
    health.live(event, state);
    if (event?.totals)
      tiles.set('rate', compact(event.clicks_per_second), `${number(event.totals.counted)} counted in all`);
  });
  const refresh = () => {
    partitions.refresh();
    health.refresh();
  };
  const stop = every(2_000, refresh);
  // Somebody may be reading the lines, so they are replaced less often.
  const stopRarely = every(10_000, () => quarantine.refresh());
  return {
    /** @param {Address} address */
    update(address) {
      zonePicker.show(address);
      quarantine.show(address);
      refresh();
    },
    close() {
      stopListening();
      stop();
      stopRarely();
      for (const card of [partitions, quarantine, health]) card.close();
    },
  };
}

const tileNames = {
  watermark: 'Watermark age',
  final: 'Final until',
  unread: 'Unread records',
  rate: 'Clicks per second',
  quarantined: 'Lines in quarantine',
  balance: 'Conservation',
};

/** @param {Tiles<keyof TileNames>} tiles @param {StatusAnswer} status */
function showTiles(tiles, { final_until, conservation, quarantine, partitions, watermark, watermark_age_ms }) {
  tiles.set('watermark', duration(watermark_age_ms), ['watermark at', timeElement(watermark, 'seconds')]);
  tiles.set('final', final_until ? shortTime(final_until) : '–', final_until ? 'in every partition' : '');
  const unread = conservation.unread_records;
  tiles.count('unread', unread, unread === null ? 'Kafka does not answer' : 'in Kafka');
  const reasons = Object.entries(quarantine);
  const lines = reasons.reduce((sum, [, count]) => sum + count, 0);
  const text = reasons.map(([reason, count]) => `${number(count)} ${reasonText(reason)}`).join(', ');
  tiles.count('quarantined', lines, text || 'none');
  const stalled = partitions.filter(row => row.stalled_since !== null).length;
  const stop = stalled > 0 ? `, but ${counted(stalled, 'partition is not counted', 'partitions are not counted')}` : '';
  const [verdict, why] = balanceOf(conservation);
  tiles.set('balance', verdict, `${why}${stop}`);
}

/** @param {StatusAnswer['conservation']} conservation @returns {readonly [verdict: string, why: string]} */
function balanceOf({ balanced, rows, missing, written_off, uncounted }) {
  if (!balanced && missing > written_off) return ['Broken', 'acknowledged clicks are missing'];
  if (!balanced && uncounted !== null && uncounted > 0) return ['Broken', 'late clicks are not counted'];
  if (!balanced) return ['Broken', 'see the partitions'];
  if (rows !== null && rows.difference > 0) return ['Broken', 'rows in ClickHouse differ'];
  return ['Balanced', rows?.checked_at ? 'rows in ClickHouse agree' : 'rows in ClickHouse not compared yet'];
}
