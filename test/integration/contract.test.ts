/** The contract that the simulation's fakes keep, kept by what they stand for. */
import type { AdMinuteRow } from '../../aggregator/ad-minute.ts';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { migrate } from '../../infra/migrate.ts';
import { describeBroker, describeStore } from '../simulation/contract.ts';
import { startTestBroker } from '../support/broker.ts';
import { openTemporaryClickHouse } from '../support/temporary-clickhouse.ts';

const log = createLog('contract', 'silent');

describeBroker('the real broker', async () => {
  const broker = await startTestBroker();
  const kafka = createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers }), 'contract', log);
  return { kafka, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
});

describeStore('the real ClickHouse', async () => {
  const { clickhouse, ...engine } = await openTemporaryClickHouse();
  await migrate(clickhouse, log);
  const settings = 'SETTINGS output_format_json_quote_64bit_integers=0';
  return {
    clickhouse,
    adMinutes: () =>
      clickhouse.query<AdMinuteRow>(
        `SELECT * REPLACE (toUnixTimestamp(minute) AS minute) FROM ad_minute FINAL ${settings}`,
      ),
    progress: () => clickhouse.query(`SELECT partition, position FROM partition_progress FINAL ${settings}`),
    rawClickIds: async () =>
      (await clickhouse.query<{ click_id: string }>('SELECT click_id FROM click_raw FINAL')).map(row => row.click_id),
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
});
