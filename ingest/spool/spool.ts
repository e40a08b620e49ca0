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
import { StuckFiles } from './stuck-files.ts';

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

/**
 * A file that the disk does not give back, or does not let go, holds up no other one. It is tried again each time that
 * all others were sent, and at least once a minute.
 */
async function sendAll(sending: Sending): Promise<void> {
  const { files, stop, wakeUp, log, retryMs = 1_000 } = sending;
  const stuck = new StuckFiles(log);
  while (!stop.aborted) {
    stuckFiles.set(stuck.names.size + (await files.countAside().catch(() => 0)));
    try {
      const name = files.isEmpty ? undefined : await files.oldestBut(stuck.names);
      if (name !== undefined) {
        await sendFile(name, sending, stuck);
        continue;
      }
    } catch (error) {
      if (!(error instanceof Retryable)) log.error({ err: error }, 'spool: not sent, and tried again');
      await pause(retryMs, stop);
      continue;
    }
    if (files.isEmpty || stuck.names.size > 0) await wakeUp.pause(lookEveryMs, stop);
    // Kafka has just refused a click, or one is being written.
    await pause(retryMs, stop);
    stuck.tryAgain();
  }
}

/** @throws when it was not sent; the file is still there */
async function sendFile(name: string, sending: Sending, stuck: StuckFiles): Promise<void> {
  const { files, show } = sending;
  const unreadable = stuck.sent.get(name) ?? (await sendContent(name, sending, stuck));
  if (unreadable === undefined) return;
  stuck.sent.set(name, unreadable);
  try {
    if (unreadable === 0) {
      await files.remove(name);
    } else {
      await files.putAside(name);
    }
    stuck.gone(name);
  } catch (error) {
    if (isMissing(error)) files.forget(name);
    else stuck.add(name, 'spool: a file was sent and cannot be removed; this process does not send it again', error);
  }
  show();
}

/** Returns how many parts cannot be read, or undefined when it was not sent. */
async function sendContent(name: string, sending: Sending, stuck: StuckFiles): Promise<number | undefined> {
  const { files, log } = sending;
  let bytes: Buffer;
  try {
    bytes = await files.read(name);
  } catch (error) {
    if (!isMissing(error)) stuck.add(name, 'spool: a file cannot be read, and is tried again', error);
    else {
      log.error({ name }, 'spool: a file is gone that this process has not removed');
      files.forget(name);
    }
    return undefined;
  }
  const found = await sendClicks(bytes, sending);
  if (found === undefined) return undefined;
  const { sent, unreadable } = found;
  if (unreadable > 0) {
    log.error({ name, unreadable }, 'spool: a file has parts that cannot be read, and is put aside');
    unreadableTotal.inc(unreadable);
  }
  log.info({ name, clicks: sent }, 'spool: sent');
  replayed.inc(sent);
  return unreadable;
}

/** Returns undefined when it was told to stop. */
async function sendClicks(
  bytes: Buffer,
  { send, log, stop, retryMs = 1_000 }: Sending,
): Promise<{ readonly sent: number; readonly unreadable: number } | undefined> {
  let [sent, unreadable] = [0, 0];
  for (let at = 0; at < bytes.length; ) {
    const { texts, unreadableBytes, end } = readSpool(bytes, at, maxClicks);
    const clicks = texts.map(readSpooledClick).filter(click => click !== undefined);
    while (clicks.length > 0 && !(await isSent(send, clicks, log))) {
      await pause(retryMs, stop);
      if (stop.aborted) return undefined;
    }
    sent += clicks.length;
    unreadable += texts.length - clicks.length + unreadableBytes;
    at = end;
  }
  return { sent, unreadable };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
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
const stuckFiles = gauge(
  'spool_stuck_files',
  'Files of the spool that could not be read, whole or at all, or not be removed; 0 where all is well',
);
const spooled = counter('spooled_clicks_total', 'Clicks that were kept on the disk because Kafka did not take them');
const replayed = counter('spool_sent_clicks_total', 'Clicks that Kafka has taken out of the spool');
const unreadableTotal = counter(
  'spool_unreadable_total',
  'Bytes of the spool that belong to no whole record, and records that are no click; their files are kept',
);
