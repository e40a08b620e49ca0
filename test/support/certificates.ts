/** Certificates for tests, made by openssl, which every system with a test suite of ours has (git and curl need it). */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Made {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface Wanted {
  readonly name: string;
  /** Whether it is an authority. */
  readonly isAuthority?: boolean;
  /** Names for which it is good. Left out: those of loopback. */
  readonly names?: readonly string[];
  /** Left out: it signs itself. */
  readonly by?: Made;
  /** As openssl wants them: `20200101000000Z`. Left out: for ten days from now on. */
  readonly from?: string;
  readonly until?: string;
}

export interface Certificates {
  readonly folder: string;
  make(wanted: Wanted): Made;
}

export function certificates(): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'adclicks-tls-'));
  let serial = 0;
  return {
    folder,
    make({ name, isAuthority = false, names, by, from, until }) {
      const at = (file: string) => join(folder, `${++serial}-${file}`);
      const [keyFile, requestFile, certFile, extensions] = [at('key.pem'), at('csr.pem'), at('cert.pem'), at('ext')];
      const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { stdio: 'pipe', cwd: folder });
      openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', keyFile);
      openssl('req', '-new', '-key', keyFile, '-subj', `/CN=${name}`, '-out', requestFile);
      const use = isAuthority
        ? 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign'
        : 'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth';
      writeFileSync(
        extensions,
        `${use}\nsubjectAltName=${names?.map(each => `DNS:${each}`) ?? 'DNS:localhost,IP:127.0.0.1'}\n`,
      );
      const database = at('ca.txt');
      writeFileSync(database, '');
      writeFileSync(`${database}.attr`, 'unique_subject = no\n');
      const config = at('ca.cnf');
      writeFileSync(
        config,
        [
          ...['[ca]', 'default_ca=own', '[own]', `new_certs_dir=${folder}`, `database=${database}`, 'rand_serial=yes'],
          ...['default_md=sha256', 'policy=any', '[any]', 'commonName=supplied'],
        ].join('\n'),
      );
      const signer =
        by === undefined ? ['-selfsign', '-keyfile', keyFile] : ['-cert', by.certFile, '-keyfile', by.keyFile];
      const validity = [...(from ? ['-startdate', from] : []), ...(until ? ['-enddate', until] : ['-days', '10'])];
      openssl(
        ...['ca', '-batch', '-notext', '-config', config, '-extfile', extensions, ...signer, ...validity],
        ...['-in', requestFile, '-out', certFile],
      );
      return { certFile, keyFile };
    },
  };
}
