// SPDX-License-Identifier: Apache-2.0
/** The functions of TLS libraries that are probed, and what the kernel programs are told of each. */

/** `enum tls_action` in bpf/tls.h. */
export const ACTION = {
  reads: 1,
  writes: 2,
  shakes: 3,
  shuts: 4,
  frees: 5,
  born: 6,
  setsSocket: 7,
  ciphertext: 8,
  clears: 9,
  flushes: 10,
} as const;

/** `enum tls_result` in bpf/tls.h. */
const RESULT = { int: 0, long: 1, atArg3: 2, atArg4: 3, unseen: 4 } as const;

/** `enum tls_library` in bpf/record.h. */
export const LIBRARY = { openssl: 1, gnutls: 2, boringssl: 3 } as const;

/** What a function of a library does. */
export interface TlsFunction {
  readonly name: string;
  readonly library: 'openssl' | 'gnutls';
  readonly action: keyof typeof ACTION;
  /** Where it says how many bytes moved. */
  readonly result: keyof typeof RESULT;
  /** It may call those of a lower rank to do its work; only the outermost call counts. */
  readonly rank: number;
}

type Row = readonly [
  name: string,
  action: TlsFunction['action'],
  result?: TlsFunction['result'],
  rank?: number,
];

function rows(library: TlsFunction['library'], table: readonly Row[]): TlsFunction[] {
  return table.map(([name, action, result = 'int', rank = 1]) => ({ name, library, action, result, rank }));
}

/** OpenSSL 1.1 and 3, BoringSSL, LibreSSL, as far as each has them: ssl(7ossl). SSL_peek moves nothing. */
const OPENSSL: readonly Row[] = [
  ['SSL_read', 'reads', 'int', 1],
  ['SSL_read_ex', 'reads', 'atArg3', 3],
  ['SSL_read_early_data', 'reads', 'atArg3', 4],
  ['SSL_write', 'writes', 'int', 1],
  ['SSL_write_ex', 'writes', 'atArg3', 3],
  // int SSL_write_ex2(SSL *, const void *, size_t, uint64_t flags, size_t *written)
  ['SSL_write_ex2', 'writes', 'atArg4', 2],
  ['SSL_write_early_data', 'writes', 'atArg3', 4],
  // ossl_ssize_t SSL_sendfile(SSL *, int fd, off_t, size_t, int flags)
  ['SSL_sendfile', 'writes', 'unseen', 1],
  ['SSL_do_handshake', 'shakes', 'int', 1],
  ['SSL_connect', 'shakes', 'int', 2],
  ['SSL_accept', 'shakes', 'int', 2],
  ['SSL_shutdown', 'shuts', 'int', 1],
  ['SSL_new', 'born'],
  ['SSL_free', 'frees'],
  ['SSL_clear', 'clears'],
  ['SSL_set_fd', 'setsSocket'],
];

/** GnuTLS 3: its manual, "Core TLS API". */
const GNUTLS: readonly Row[] = [
  ['gnutls_record_recv', 'reads', 'long', 1],
  ['gnutls_record_recv_seq', 'reads', 'long', 2],
  ['gnutls_record_recv_early_data', 'reads', 'long', 1],
  ['gnutls_record_send', 'writes', 'long', 2],
  ['gnutls_record_send2', 'writes', 'long', 1],
  ['gnutls_record_send_early_data', 'writes', 'long', 1],
  // What was corked was given to gnutls_record_send before, which this calls again for all of it.
  ['gnutls_record_uncork', 'flushes', 'int', 3],
  ['gnutls_handshake', 'shakes', 'int', 1],
  ['gnutls_bye', 'shuts', 'int', 1],
  ['gnutls_deinit', 'frees'],
];

/** In libcrypto, or beside the others where all is in one file. */
const CIPHERTEXT: readonly Row[] = [['BIO_write', 'ciphertext']];

export const TLS_FUNCTIONS: ReadonlyMap<string, TlsFunction> = new Map(
  [...rows('openssl', OPENSSL), ...rows('gnutls', GNUTLS), ...rows('openssl', CIPHERTEXT)].map((each) => [
    each.name,
    each,
  ]),
);

/** Is there something to do when it is called; when it returns? */
export const atEntry = (each: TlsFunction): boolean => each.action !== 'born';
export const atReturn = (each: TlsFunction): boolean =>
  each.action === 'born' ||
  each.action === 'reads' ||
  each.action === 'writes' ||
  each.action === 'shakes' ||
  each.action === 'shuts' ||
  each.action === 'flushes';

/** BoringSSL has OpenSSL's functions, and these, which OpenSSL never had. AWS-LC comes of it, and has them, too. */
export const BORINGSSL_ONLY: readonly string[] = ['SSL_CTX_set_grease_enabled', 'SSL_CTX_set_custom_verify'];

/**
 * The cookie of a probe, as bpf/tls.h takes it apart.
 * @param nested May the socket of a connection be told by the system calls from within this function?
 */
export function cookieOf(
  each: TlsFunction,
  nested: boolean,
  library: keyof typeof LIBRARY = each.library,
): bigint {
  const low = each.rank | (ACTION[each.action] << 8) | (RESULT[each.result] << 16) | (LIBRARY[library] << 24);
  return BigInt(low >>> 0) | (nested ? 1n << 32n : 0n);
}
