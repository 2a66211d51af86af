// SPDX-License-Identifier: Apache-2.0
/** --max-message: what is larger is told by size and head, and costs nothing that follows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotCapture, captureRun, type OutputLine, scratch } from '../support/mcpspy.ts';
import {
  assertFrames,
  framesOf,
  INITIALIZE,
  linesOf,
  type Movement,
  Movers,
  perLine,
  request,
} from '../support/mover.ts';
import { assertOutput } from '../support/schema.ts';

const LIMIT = 100 * 1024;
/** Frame sizes, without the line end. */
const SIZES = [200, LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, 300, 1 << 20, 400, 20 << 20, 500];

function assertOversize(line: OutputLine | undefined, frame: Buffer, what: string): void {
  assert.equal(line?.['kind'], 'invalid', what);
  assert.equal(line['reason'], 'larger than --max-message', what);
  assert.equal(line['size'], frame.length, what);
  const head = Buffer.from(line['raw']);
  assert.ok(head.length > 4000 && head.length <= 4096 && frame.subarray(0, head.length).equals(head), what);
}

for (const carrier of ['pipe', 'socketpair'] as const) {
  for (const end of ['\n', '\r\n']) {
    const name = `limit-${carrier}-${end.length}`;
    test(`a maximum of 100K through a ${carrier}, lines ending in ${JSON.stringify(end)}`, {
      skip: cannotCapture,
    }, async () => {
      const movers = new Movers(scratch());
      const frames = SIZES.map((size, id) => request(id, size + 1).subarray(0, -1));
      const data = Buffer.concat([INITIALIZE, ...frames.flatMap((frame) => [frame, Buffer.from(end)])]);
      const whole: Movement = { carrier, data, plan: perLine(data) };
      const movements = { [`${name}-whole`]: whole, [`${name}-cut`]: { carrier, data, each: 7777 } };
      const options = ['-q', '--max-message', '100K', '--ring-size', '64M'];
      const result = await captureRun(movers.script(movements, 'in turn'), { options });
      assert.equal(result.code, 0, result.stderr);
      assertOutput(result.lines, result.isPart);
      assert.deepEqual(result.summary['losses'], {});
      for (const each of Object.keys(movements)) {
        const lines = linesOf(result, each);
        const sent = framesOf(movers.sent(each));
        const fits = (frame: Buffer) => frame.length <= LIMIT;
        assert.equal(lines.length, sent.length);
        assertFrames(
          lines.filter((_, index) => fits(sent[index] ?? data)),
          sent.filter(fits),
          each,
        );
        for (const [index, frame] of sent.entries())
          if (!fits(frame)) assertOversize(lines[index], frame, `${each} ${frame.length}`);
      }
    });
  }
}
