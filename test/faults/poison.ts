/** Records that somebody writes straight to topic `clicks`: no clicks, broken clicks, and good ones in another form. */

import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import type { Producer } from '../../infra/kafka/producer.ts';

/** Stands in every line that is no click. */
export const poisonMark = 'POISON';

const notUtf8 = Buffer.concat([
  Buffer.from(`{"ad_id":"${poisonMark}`),
  Buffer.from([0xff, 0xfe, 0x80]),
  Buffer.from('"}'),
]);

function valuesAt(now: number, serial: number): (string | Buffer)[] {
  return [
    `${poisonMark} no json`,
    `{"ad_id":"${poisonMark}"}`,
    `{"ad_id":17,"event_id":"${poisonMark}","clicked_at":${now}}`,
    `{"ad_id":"a","event_id":"${poisonMark}","clicked_at":NaN}`,
    `{"ad_id":"a","event_id":"${poisonMark}","clicked_at":"yesterday"}`,
    `{"ad_id":"future","event_id":"${poisonMark}${serial}","clicked_at":253402300799000}`,
    `["${poisonMark}"]`,
    `"${poisonMark}"`,
    `${'['.repeat(10_000)}${poisonMark}`,
    `{"ad_id":"${poisonMark}${'x'.repeat(1 << 20)}"}`,
    notUtf8,
    '\n\n',
    JSON.stringify({ country: 'FR', clicked_at: now, ad_id: 'foreign', event_id: `foreign-${serial}` }),
  ];
}

/** Returns how many records went out. They may have gone out twice: the producer's answers are cut, too. */
export async function poison(producer: Producer, topic: string, partitions: number, serial: number): Promise<number> {
  const values = valuesAt(Date.now(), serial);
  const records = values.map((value, i): OutgoingRecord => {
    const header = i % 3 === 0 ? { headers: { kind: 'ad-minute', '\u0000junk': 'x' } } : {};
    return { partition: (serial + i) % partitions, value, ...header };
  });
  for (const record of records) await producer.send(topic, [record]);
  return records.length;
}
