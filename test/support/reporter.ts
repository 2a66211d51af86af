// SPDX-License-Identifier: Apache-2.0
/** Test reporter: one line a test, the whole story of each failure, and a closing line that counts. */
import type { TestEvent } from 'node:test/reporters';

/** Tests are counted, suites and files are not. */
function isTest(data: { details?: { type?: string } }): boolean {
  return data.details?.type !== 'suite';
}

export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  const failures: string[] = [];
  for await (const event of source) {
    if (event.type === 'test:stderr' || event.type === 'test:stdout') yield event.data.message;
    if (event.type !== 'test:pass' && event.type !== 'test:fail') continue;
    const { data } = event;
    if (!isTest(data)) continue;
    const place = '  '.repeat(data.nesting);
    const took = `${Math.round(data.details.duration_ms)} ms`;
    if (data.skip !== undefined && data.skip !== false) {
      skipped++;
      yield `${place}SKIP ${data.name}: ${data.skip === true ? '' : data.skip}\n`;
    } else if (event.type === 'test:pass') {
      passed++;
      yield `${place}ok   ${data.name} (${took})\n`;
    } else {
      failed++;
      const { error } = event.data.details;
      const cause = (error.cause as Error | undefined)?.stack ?? error.message;
      failures.push(`${data.file}\n${data.name}\n${cause}\n`);
      yield `${place}FAIL ${data.name} (${took})\n`;
    }
  }
  for (const failure of failures) yield `\n${failure}`;
  yield `\n${passed} passed, ${failed} failed, ${skipped} skipped\n`;
}
