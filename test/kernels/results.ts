// SPDX-License-Identifier: Apache-2.0
/** What the tests in a VM say, from there to here: as a reporter of node:test a line of JSON a test, at once. */
import { basename } from 'node:path';
import type { TestEvent } from 'node:test/reporters';

/** One test that has ended in the VM. */
export interface GuestTest {
  /** The file's name and the test's. */
  readonly name: string;
  /** How long it took there. */
  readonly milliseconds: number;
  /** Why it was not run. */
  readonly skipped?: string;
  /** Why it failed, as node:test tells it. */
  readonly failure?: string;
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const { type, data } of source) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.details.type === 'suite') continue;
    const error = type === 'test:fail' ? data.details.error : undefined;
    const result: GuestTest = {
      name: `${basename(data.file ?? '')}: ${data.name}`,
      milliseconds: Math.round(data.details.duration_ms),
      ...(data.skip ? { skipped: String(data.skip) } : {}),
      ...(error ? { failure: (error.cause as Error | undefined)?.stack ?? error.message } : {}),
    };
    yield `${JSON.stringify(result)}\n`;
  }
}

/** Reads what the reporter has written, up to where a VM that died may have cut it. */
export function readResults(text: string): GuestTest[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}
