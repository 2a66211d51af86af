// SPDX-License-Identifier: Apache-2.0
import type { Target } from '../target.ts';
import { coding } from './coding.ts';
import { elf } from './elf.ts';
import { hello } from './hello.ts';
import { hpack } from './hpack.ts';
import { http1 } from './http1.ts';
import { http2 } from './http2.ts';
import { json } from './json.ts';
import { lines } from './lines.ts';
import { record } from './record.ts';
import { socket } from './socket.ts';
import { sse } from './sse.ts';
import { websocket } from './websocket.ts';

/** Every target, by the names of `COVERS`. */
export const TARGETS: readonly Target[] = [
  lines,
  json,
  http1,
  http2,
  hpack,
  sse,
  websocket,
  coding,
  socket,
  hello,
  record,
  elf,
];
