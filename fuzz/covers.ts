// SPDX-License-Identifier: Apache-2.0
/** The targets by name, and the files below `src/` whose blocks each is to reach. */
export const COVERS: Readonly<Record<string, readonly string[]>> = {
  lines: ['protocols/lines.ts'],
  json: ['protocols/json-bytes.ts', 'protocols/json-members.ts', 'mcp/jsonrpc.ts', 'mcp/large-message.ts'],
  http1: [
    'protocols/http1.ts',
    'protocols/http1-awaited.ts',
    'protocols/http1-body.ts',
    'protocols/http1-direction.ts',
    'protocols/http1-gathered.ts',
    'protocols/http1-head.ts',
    'protocols/http1-held.ts',
    'protocols/http1-resync.ts',
  ],
  http2: [
    'protocols/http2.ts',
    'protocols/http2-stream.ts',
    'protocols/http2-frames.ts',
    'protocols/http2-frame-head.ts',
    'protocols/http2-header-blocks.ts',
    'protocols/http1-gathered.ts',
    'protocols/hpack.ts',
    'protocols/hpack-huffman.ts',
  ],
  hpack: ['protocols/hpack.ts', 'protocols/hpack-huffman.ts'],
  sse: ['protocols/sse.ts', 'protocols/content.ts'],
  websocket: [
    'protocols/websocket.ts',
    'protocols/websocket-frame.ts',
    'protocols/permessage-deflate.ts',
    'protocols/decompressor.ts',
  ],
  coding: ['protocols/content-coding.ts', 'protocols/decompressor.ts'],
  socket: [
    'http/socket.ts',
    'http/recognise.ts',
    'http/connection.ts',
    'http/body.ts',
    'http/exchange.ts',
    'http/websocket-tunnel.ts',
    'protocols/permessage-deflate.ts',
  ],
  hello: ['protocols/client-hello.ts'],
  record: ['source/decode.ts', 'source/address.ts', 'sensor/proc.ts'],
  elf: ['sensor/elf.ts', 'sensor/elf-bytes.ts', 'sensor/elf-symbols.ts', 'sensor/elf-frames.ts'],
};

/** Files where decoders live that decode nothing, and why they need no target. */
export const DECODES_NOTHING: Readonly<Record<string, string>> = {
  'protocols/hpack-static.ts': 'a table',
  'protocols/http.ts': 'terms that decoders share; header fields come to it decoded',
  'protocols/room.ts': 'counts the memory that decoders hold; sees no bytes',
  'protocols/wire-text.ts': 'holds a text that a decoder has found to be valid',
};
