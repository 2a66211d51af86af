// SPDX-License-Identifier: Apache-2.0
/** The account a Node peer keeps, in the form of truth.py. */
import { openSync, readFileSync, readlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export class Account {
  readonly #about: { readonly role: string; readonly link: string };
  readonly #file: number;

  constructor(role: 'client' | 'server', link: string) {
    this.#about = { role, link };
    const time = String(process.hrtime.bigint()).padStart(20, '0');
    this.#file = openSync(join(process.env.MCPSPY_TRUTH ?? '', `${time}-${process.pid}-${role}.jsonl`), 'a');
    this.#note({
      event: 'start',
      pid: process.pid,
      comm: readFileSync('/proc/self/comm', 'utf8').trimEnd(),
      exe: readlinkSync('/proc/self/exe'),
      argv: readFileSync('/proc/self/cmdline', 'utf8').replace(/\0$/, '').split('\0'),
    });
  }

  /** Takes bytes as they come and notes each line of them. */
  lines(event: 'sent' | 'received'): (chunk: Uint8Array) => void {
    let rest = Buffer.alloc(0);
    return (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
        this.#note({ event, text: rest.toString('utf8', 0, end) });
        rest = rest.subarray(end + 1);
      }
    };
  }

  sent(text: string): void {
    this.#note({ event: 'sent', text });
  }

  #note(entry: object): void {
    writeSync(
      this.#file,
      `${JSON.stringify({ ...this.#about, time: Number(process.hrtime.bigint()), ...entry })}\n`,
    );
  }
}
