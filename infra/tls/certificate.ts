/**
 * Reads certificate, key and authorities from their files, and refuses what clients would not accept or nobody could
 * use. Whatever passes here can be served.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { statSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ConfigError, messageOf } from '../errors.ts';
import { readRegularFileSync } from '../regular-file.ts';
import type { TlsConfig } from './config.ts';

export interface Certificate {
  readonly options: SecureContextOptions;
  /** Epoch ms. */
  readonly expiresAt: number;
  /** SHA-256 of the certificate. */
  readonly fingerprint: string;
  readonly subject: string;
  /** What a person should look at, although it can be served. */
  readonly warnings: readonly string[];
}

/** What the files contain at one moment. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string | undefined;
}

/** Returns undefined if the server does not speak TLS. @throws ConfigError if only a part of it is set */
export function tlsFilesOf(config: TlsConfig): TlsConfig | undefined {
  const { TLS_CERT_FILE: cert, TLS_KEY_FILE: key, TLS_CLIENT_CA_FILE: clientCa } = config;
  if (cert !== '' && key !== '') return config;
  if (cert !== '') throw new ConfigError(`TLS_CERT_FILE=${cert}: needs TLS_KEY_FILE, the key of that certificate`);
  if (key !== '') throw new ConfigError(`TLS_KEY_FILE=${key}: needs TLS_CERT_FILE, the certificate of that key`);
  if (clientCa === '') return undefined;
  throw new ConfigError(
    `TLS_CLIENT_CA_FILE=${clientCa}: needs TLS_CERT_FILE and TLS_KEY_FILE, because only a server that speaks TLS can ask clients for certificates`,
  );
}

/** @throws ConfigError for a file that cannot be read */
export function readTlsFiles({ TLS_CERT_FILE, TLS_KEY_FILE, TLS_CLIENT_CA_FILE }: TlsConfig): TlsFiles {
  return {
    cert: textIn('TLS_CERT_FILE', TLS_CERT_FILE),
    key: textIn('TLS_KEY_FILE', TLS_KEY_FILE),
    clientCa: TLS_CLIENT_CA_FILE === '' ? undefined : textIn('TLS_CLIENT_CA_FILE', TLS_CLIENT_CA_FILE),
  };
}

/** @throws ConfigError that names the file and what is wrong with it */
export function certificateOf({ cert, key, clientCa }: TlsFiles, config: TlsConfig, now: number): Certificate {
  const { TLS_CERT_FILE, TLS_KEY_FILE, TLS_CLIENT_CA_FILE, TLS_MIN_VERSION } = config;
  const wrong = (setting: string, file: string, what: string) => new ConfigError(`${setting}=${file}: ${what}`);
  const [leaf] = certificatesIn('TLS_CERT_FILE', TLS_CERT_FILE, cert);
  const privateKey = keyIn(TLS_KEY_FILE, key);
  if (!leaf.checkPrivateKey(privateKey))
    throw wrong(
      'TLS_KEY_FILE',
      TLS_KEY_FILE,
      `is not the key of the certificate in TLS_CERT_FILE=${TLS_CERT_FILE} (the first one in that file must be the server's own)`,
    );
  const [begins, ends] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  if (now >= ends) throw wrong('TLS_CERT_FILE', TLS_CERT_FILE, `the certificate has expired on ${isoOf(ends)}`);
  if (now < begins)
    throw wrong('TLS_CERT_FILE', TLS_CERT_FILE, `the certificate is valid only from ${isoOf(begins)} on`);
  if (clientCa !== undefined) certificatesIn('TLS_CLIENT_CA_FILE', TLS_CLIENT_CA_FILE, clientCa);
  const options: SecureContextOptions = {
    ...{ cert, key },
    ...(clientCa === undefined ? {} : { ca: clientCa }),
    minVersion: `TLSv${TLS_MIN_VERSION}`,
    ciphers,
    honorCipherOrder: false,
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw wrong('TLS_CERT_FILE', TLS_CERT_FILE, `cannot be served: ${messageOf(error)}`);
  }
  return {
    options,
    expiresAt: ends,
    fingerprint: leaf.fingerprint256,
    subject: leaf.subjectAltName ?? leaf.subject,
    warnings: openToAll(TLS_KEY_FILE),
  };
}

/**
 * Of version 1.2 only suites with forward secrecy and authenticated encryption (Mozilla's "intermediate"); Node's own
 * list has older ones besides. Those of version 1.3 are all such.
 */
const ciphers = [
  ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ...['ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
].join(':');

function textIn(setting: string, file: string): string {
  try {
    return readRegularFileSync(file).toString();
  } catch (error) {
    throw new ConfigError(`${setting}=${file}: cannot be read (${messageOf(error)})`);
  }
}

function certificatesIn(setting: string, file: string, text: string): [X509Certificate, ...X509Certificate[]] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  const found = blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new ConfigError(`${setting}=${file}: certificate ${i + 1} cannot be read (${messageOf(error)})`);
    }
  });
  const [first, ...others] = found;
  if (first === undefined)
    throw new ConfigError(`${setting}=${file}: has no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
  return [first, ...others];
}

/** What is in the file is never repeated. */
function keyIn(file: string, text: string): KeyObject {
  if (/ENCRYPTED/.test(text))
    throw new ConfigError(`TLS_KEY_FILE=${file}: has a passphrase, but must have none: protect the file instead`);
  try {
    return createPrivateKey(text);
  } catch {
    throw new ConfigError(`TLS_KEY_FILE=${file}: has no private key in PEM (-----BEGIN PRIVATE KEY-----)`);
  }
}

/**
 * Only a warning: in a container a mounted secret is readable for everybody by default, and there is nobody else. To
 * refuse it would make people copy keys.
 */
function openToAll(file: string): string[] {
  const mode = statSync(file, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o007) === 0) return [];
  const digits = (mode & 0o777).toString(8).padStart(4, '0');
  return [`TLS_KEY_FILE=${file}: every user of this machine may read the private key (${digits}): chmod 0600`];
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
