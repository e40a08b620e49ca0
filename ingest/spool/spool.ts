/**
 * Keeps clicks on the disk that Kafka did not take, and sends them when it is back.
 *
 * A click that was appended is sent until Kafka has acknowledged it, whatever ends the process in between: a file is
 * removed only after all of its clicks are acknowledged. Until then it is sent again, from its beginning. Clicks that are
 * sent twice are copies of one click, and count once.
 */
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { counter, gauge } from '../../infra/metrics.ts';
import { pause } from '../../infra/pause.ts';
import { createWakeUp } from '../../infra/wake-up.ts';
import type { Click } from '../click.ts';
import type { SpoolDisk } from './spool-disk.ts';
import { SpoolFiles } from './spool-files.ts';
import { readSpool } from './spool-record.ts';
import { readSpooledClick, spooledText } from './spooled-click.ts';

export interface Spool extends AsyncDisposable {
  /** Resolves when the click is on the disk. @throws Retryable when it is not kept */
  append(click: Click): Promise<void>;
  /** Why no click would be kept now, or undefined. */
  refusal(): Retryable | undefined;
  /** When Kafka took clicks out of it last, on the monotonic clock; before that, negative infinity. */
  readonly sentAtMs: number;
}

export interface SpoolOptions {
  readonly disk: SpoolDisk;
  readonly maxBytes: number;
  /** Resolves when Kafka has them all. */
  readonly send: (clicks: readonly Click[]) => Promise<void>;
  readonly log: Logger;
  /** Between two attempts to send. */
  readonly retryMs?: number;
}

/** Read and sent together. To read more at once would keep those waiting for milliseconds who load a link meanwhile. */
const maxClicks = 100;
/** Nothing is lost by a look that comes late: an append ends the pause. */
const lookEveryMs = 60_000;

export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const { disk, maxBytes, log } = options;
  const files = await SpoolFiles.open({ disk, maxBytes });
  if (files.bytes > 0) log.warn({ bytes: files.bytes }, 'spool: clicks of an earlier process wait to be sent');
  const closing = new AbortController();
  const wakeUp = createWakeUp();
  const show = () => spoolBytes.set(files.bytes);
  show();
  let sentAtMs = Number.NEGATIVE_INFINITY;
  const send = async (clicks: readonly Click[]) => {
    await options.send(clicks);
    sentAtMs = performance.now();
  };
  const sending = sendAll({ ...options, send, files, stop: closing.signal, wakeUp, show });
  return {
    async append(click) {
      await files.append(spooledText(click));
      spooled.inc();
      show();
      wakeUp.call();
    },
    refusal: () => files.refusal(),
    get sentAtMs() {
      return sentAtMs;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await sending;
      await files.close();
    },
  };
}

interface Sending extends Pick<SpoolOptions, 'send' | 'log' | 'retryMs'> {
  readonly files: SpoolFiles;
  readonly stop: AbortSignal;
  readonly wakeUp: ReturnType<typeof createWakeUp>;
  readonly show: () => void;
}

async function sendAll(sending: Sending): Promise<void> {
  const { files, stop, wakeUp, log, retryMs = 1_000 } = sending;
  while (!stop.aborted) {
    if (files.bytes === 0) {
      await wakeUp.pause(lookEveryMs, stop);
      // Kafka has just refused a click.
      await pause(retryMs, stop);
      continue;
    }
    try {
      const name = await files.oldest();
      if (name !== undefined) await sendFile(name, sending);
      else await pause(retryMs, stop);
    } catch (error) {
      if (!(error instanceof Retryable)) log.error({ err: error }, 'spool: not sent, and tried again');
      await pause(retryMs, stop);
    }
  }
}

/** @throws when it was not sent; the file is still there */
async function sendFile(name: string, { files, send, log, show, stop, retryMs = 1_000 }: Sending): Promise<void> {
  const bytes = await files.read(name);
  let [sent, unreadable] = [0, 0];
  for (let at = 0; at < bytes.length; ) {
    const { texts, unreadableBytes, end } = readSpool(bytes, at, maxClicks);
    const clicks = texts.map(readSpooledClick).filter(click => click !== undefined);
    while (clicks.length > 0 && !(await isSent(send, clicks, log))) {
      await pause(retryMs, stop);
      if (stop.aborted) return;
    }
    sent += clicks.length;
    unreadable += texts.length - clicks.length + unreadableBytes;
    at = end;
  }
  if (unreadable === 0) {
    await files.remove(name);
  } else {
    log.error({ name, unreadable }, 'spool: a file has parts that cannot be read, and is put aside');
    unreadableTotal.inc(unreadable);
    await files.putAside(name);
  }
  log.info({ name, clicks: sent }, 'spool: sent');
  replayed.inc(sent);
  show();
}

async function isSent(send: SpoolOptions['send'], clicks: readonly Click[], log: Logger): Promise<boolean> {
  try {
    await send(clicks);
    return true;
  } catch (error) {
    if (!(error instanceof Retryable)) throw error;
    log.debug({ why: messageOf(error) }, 'spool: Kafka does not take clicks yet');
    return false;
  }
}

const spoolBytes = gauge('spool_bytes', 'Bytes of clicks that were answered and wait on the disk of ingest for Kafka');
const spooled = counter('spooled_clicks_total', 'Clicks that were kept on the disk because Kafka did not take them');
const replayed = counter('spool_sent_clicks_total', 'Clicks that Kafka has taken out of the spool');
const unreadableTotal = counter(
  'spool_unreadable_total',
  'Bytes of the spool that belong to no whole record, and records that are no click; their files are kept',
);
