// SPDX-License-Identifier: Apache-2.0
/** What a socket speaks, from the first bytes of one of its directions. */

/** What was recognised, and so which direction this is. */
export type Speech =
  | { readonly protocol: 'http1' | 'http2'; readonly side: 'request' | 'response' }
  /** Lines, of JSON or of anything else. */
  | { readonly protocol: 'lines' }
  | { readonly protocol: 'tls' }
  | { readonly protocol: 'unknown' };

/** A request line longer than this is none. */
const LINE_MAX = 16384;

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** Methods in use are words in capitals (RFC 9110, section 16.1.1); others would take text for requests. */
const REQUEST_LINE = /^[A-Z][A-Z-]{2,31} [!-~\x80-\xff]+ HTTP\/1\.[01]\r?\n/;
/** What can become one. */
const REQUEST_BEGINNING = /^[A-Z](?:[A-Z-]{0,31}$|[A-Z-]{2,31} (?:$|[!-~\x80-\xff]))/;
/** White space before something, bytes. */
const SPACE_MAX = 64;
const STATUS_LINE = /^HTTP\/1\.[01] \d{3}[ \r\n]/;
const EVENT_STREAM = /^(?:[0-9a-fA-F]{1,8}(?:;[^\r\n]*)?\r\n)?(?:(?:event|data|id|retry):|:)/;

const LINES: Speech = { protocol: 'lines' };
const TLS: Speech = { protocol: 'tls' };
const UNKNOWN: Speech = { protocol: 'unknown' };
const HTTP1_REQUEST: Speech = { protocol: 'http1', side: 'request' };
const HTTP1_RESPONSE: Speech = { protocol: 'http1', side: 'response' };
const HTTP2_REQUEST: Speech = { protocol: 'http2', side: 'request' };
const HTTP2_RESPONSE: Speech = { protocol: 'http2', side: 'response' };

/**
 * @param bytes From the beginning of a direction, or with `joined` from the beginning of a call.
 * @param joined The connection may be in the middle of anything.
 * @returns `undefined` when more bytes have to be seen.
 */
export function recognise(bytes: Buffer, joined: boolean): Speech | undefined {
  const first = bytes[0];
  if (first === undefined) return undefined;
  // A record of TLS: a content type, then version 3 (RFC 8446, section 5.1).
  if (first >= 0x14 && first <= 0x17) {
    if (bytes.length < 3) return undefined;
    return bytes[1] === 3 && (bytes[2] ?? 0) <= 4 ? TLS : UNKNOWN;
  }
  if (first === 0x7b || first === 0x5b) return LINES;
  if (first === 0x00) return recogniseFrame(bytes, joined);
  const text = bytes.toString('latin1', 0, Math.min(bytes.length, LINE_MAX));
  if (text.startsWith('HTTP/'.slice(0, text.length))) {
    if (text.length < 13)
      return 'HTTP/1.0'.startsWith(text) || text.startsWith('HTTP/1.') ? undefined : UNKNOWN;
    return STATUS_LINE.test(text) ? HTTP1_RESPONSE : UNKNOWN;
  }
  if (text.startsWith('PRI * HT')) {
    if (bytes.length < PREFACE.length) return PREFACE.includes(bytes) ? undefined : UNKNOWN;
    return bytes.subarray(0, PREFACE.length).equals(PREFACE) ? HTTP2_REQUEST : UNKNOWN;
  }
  if (REQUEST_LINE.test(text)) return HTTP1_REQUEST;
  if (joined && EVENT_STREAM.test(text)) return HTTP1_RESPONSE;
  const unfinished = !text.includes('\n') && text.length < LINE_MAX;
  if (unfinished && REQUEST_BEGINNING.test(text)) return undefined;
  return recogniseBehindSpace(bytes, text, joined);
}

function recogniseBehindSpace(bytes: Buffer, text: string, joined: boolean): Speech | undefined {
  const at = text.search(/[^ \t\r\n]/);
  if (at < 0) return text.length <= SPACE_MAX ? undefined : UNKNOWN;
  if (at === 0 || at > SPACE_MAX) return UNKNOWN;
  if (text[at] === '{' || text[at] === '[') return LINES;
  // A request may follow an empty line (RFC 9112, section 2.2).
  const blank = /^[\r\n]{1,4}[A-Z]/.test(text);
  return blank ? recognise(bytes.subarray(at), joined) : UNKNOWN;
}

const SETTINGS = 4;
const HEADERS = 1;

/** A server's first frame is SETTINGS on stream 0 (RFC 9113, section 3.4); in the middle, HEADERS tell who speaks. */
function recogniseFrame(bytes: Buffer, joined: boolean): Speech | undefined {
  if (bytes.length < 9) return undefined;
  const stream = bytes.readUInt32BE(5);
  const type = bytes[3];
  if (type === SETTINGS && stream === 0 && bytes.readUIntBE(0, 3) % 6 === 0 && (bytes[4] ?? 0) <= 1)
    return joined ? UNKNOWN : HTTP2_RESPONSE;
  if (!joined || type !== HEADERS || stream % 2 === 0 || bytes.length < 10) return UNKNOWN;
  // HPACK: :method GET or POST is 0x82 or 0x83, the well-known :status values are 0x88 to 0x8e (RFC 7541, appendix A).
  const padded = ((bytes[4] ?? 0) & 0x08) !== 0 ? 1 : 0;
  const priority = ((bytes[4] ?? 0) & 0x20) !== 0 ? 5 : 0;
  const field = bytes[9 + padded + priority] ?? 0;
  if (field === 0x82 || field === 0x83) return HTTP2_REQUEST;
  return field >= 0x88 && field <= 0x8e ? HTTP2_RESPONSE : UNKNOWN;
}
