// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** A key, and a certificate for this machine signed with it. */
export interface Certificate {
  readonly key: string;
  readonly certificate: string;
  /** For the peers: servers use it, and clients trust it. */
  readonly env: Readonly<Record<'TLS_CERT' | 'TLS_KEY' | 'NODE_EXTRA_CA_CERTS', string>>;
}

/**
 * Made anew in this directory by openssl(1), with an EC key.
 * @throws Error if openssl fails.
 */
export function makeCertificate(directory: string): Certificate {
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  execFileSync(
    'openssl',
    [
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
      ['-subj', '/CN=localhost', '-addext', names, '-keyout', key, '-out', certificate],
    ].flat(),
    { stdio: 'ignore' },
  );
  return {
    key,
    certificate,
    env: { TLS_CERT: certificate, TLS_KEY: key, NODE_EXTRA_CA_CERTS: certificate },
  };
}
