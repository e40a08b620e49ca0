/** The settings of TLS for the servers of ingest and query API. */
import { type Static, Type } from 'typebox';

export const TlsConfig = Type.Object({
  TLS_CERT_FILE: Type.String({
    default: '',
    description:
      'file (PEM) with the certificate of this server, and behind it those of the authorities in between. With it and `TLS_KEY_FILE`, the server speaks HTTPS alone. A file that has changed is taken within seconds, without a restart; one that cannot be used is refused, and the former one stays in force',
  }),
  TLS_KEY_FILE: Type.String({
    default: '',
    description: 'file (PEM) with the private key of that certificate, without a passphrase',
  }),
  TLS_CLIENT_CA_FILE: Type.String({
    default: '',
    description:
      'file (PEM) with the authorities whose clients are let in (mTLS). A client without such a certificate gets no connection. API keys are needed all the same',
  }),
  TLS_MIN_VERSION: Type.Union([Type.Literal('1.2'), Type.Literal('1.3')], {
    default: '1.2',
    description: 'the oldest version of TLS that is spoken: `1.2` or `1.3`',
  }),
});
export type TlsConfig = Static<typeof TlsConfig>;
