/**
 * Keeps a server's certificate the one in its files. The files are compared every few seconds by their content, because
 * tools that renew certificates replace them in many ways (by renaming, through links), which a watch of the file
 * system misses.
 *
 * A change is taken only if all of it can be served. Until then, and for ever if it cannot, the former certificate stays
 * in force: connections that are open go on in any case, and new ones get the last certificate that was right.
 */
import { Server } from 'node:tls';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type Certificate, certificateOf, readTlsFiles, type TlsFiles, tlsFilesOf } from './certificate.ts';
import type { TlsConfig } from './config.ts';
import { expiresAt, isRefused, reloads } from './metrics.ts';

export interface ServerTls {
  /** For `https.createServer`. */
  readonly options: object;
  /** From now on, `server` follows the files until `stop` is called. */
  follow(server: object): { stop(): void };
}

export interface ServerTlsOptions {
  readonly log: Logger;
  /** Epoch ms. */
  readonly now?: () => number;
  readonly everyMs?: number;
}

/** Returns undefined if the settings name no certificate. @throws ConfigError if it cannot be served */
export function openServerTls(
  config: TlsConfig,
  { log, now = Date.now, everyMs = 2_000 }: ServerTlsOptions,
): ServerTls | undefined {
  const files = tlsFilesOf(config);
  if (files === undefined) return undefined;
  const atFirst = readTlsFiles(files);
  const certificate = certificateOf(atFirst, config, now());
  tell(certificate, log, 'certificate in use');
  const isMutual = files.TLS_CLIENT_CA_FILE !== '';
  return {
    options: {
      ...certificate.options,
      requestCert: isMutual,
      rejectUnauthorized: isMutual,
      handshakeTimeout: handshakeMs,
    },
    follow(server) {
      const look = follower(config, atFirst, { log, now, server });
      const timer = setInterval(look, everyMs).unref();
      return { stop: () => clearInterval(timer) };
    },
  };
}

/** Nobody who means it takes longer. */
const handshakeMs = 10_000;

interface Following {
  readonly log: Logger;
  readonly now: () => number;
  readonly server: object;
}

/** Returns a function that compares the files with what it has seen last. What was refused once is not logged again. */
function follower(config: TlsConfig, atFirst: TlsFiles, { log, now, server }: Following): () => void {
  let seen = JSON.stringify(atFirst);
  let inForce = seen;
  return () => {
    const found = readOrWhyNot(config);
    if (found.text === seen) return;
    seen = found.text;
    if (seen === inForce) return isRefused.set(0);
    try {
      if ('error' in found) throw found.error;
      const certificate = certificateOf(found.files, config, now());
      if (server instanceof Server) server.setSecureContext(certificate.options);
      inForce = seen;
      reloads.inc({ outcome: 'taken' });
      tell(certificate, log, 'certificate taken over');
    } catch (error) {
      isRefused.set(1);
      reloads.inc({ outcome: 'refused' });
      log.error({ why: messageOf(error) }, 'new certificate REFUSED: the former one stays in force');
    }
  };
}

type Found = { readonly text: string; readonly files: TlsFiles } | { readonly text: string; readonly error: unknown };

function readOrWhyNot(config: TlsConfig): Found {
  try {
    const files = readTlsFiles(config);
    return { text: JSON.stringify(files), files };
  } catch (error) {
    return { text: messageOf(error), error };
  }
}

function tell({ expiresAt: ends, subject, fingerprint, warnings }: Certificate, log: Logger, what: string): void {
  expiresAt.set(ends / 1_000);
  isRefused.set(0);
  log.info({ subject, expires: new Date(ends).toISOString(), fingerprint }, what);
  for (const warning of warnings) log.warn(warning);
}
