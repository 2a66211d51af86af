// SPDX-License-Identifier: Apache-2.0
/**
 * Loaded into an official server by NODE_OPTIONS: notes what passes its standard input
 * and output, where the program itself reads and writes. The server is not changed.
 */
import { writeFileSync } from 'node:fs';
import { Account } from './truth.ts';

const account = new Account('server', process.env.MCPSPY_LINK ?? 'link');
const received = account.lines('received');
const sent = account.lines('sent');

const emit = process.stdin.emit.bind(process.stdin);
process.stdin.emit = (event: string | symbol, ...args: unknown[]) => {
  if (event === 'data') received(args[0] as Buffer);
  return emit(event, ...args);
};
// When it takes what it is told.
const ready = process.env.MCPSPY_READY;
if (ready) process.stdin.once('resume', () => writeFileSync(ready, ''));
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = ((chunk: string | Uint8Array, ...rest: []) => {
  sent(typeof chunk === 'string' ? Buffer.from(chunk) : chunk);
  return write(chunk, ...rest);
}) as typeof process.stdout.write;
