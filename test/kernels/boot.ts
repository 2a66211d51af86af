// SPDX-License-Identifier: Apache-2.0
/**
 * One command under another kernel: `node test/kernels/boot.ts [--kernel 6.1|6.12|newest] [--arch amd64|arm64]
 * [--console] -- CMD…`. Its output is ours, and so is its exit status; 125 when the VM itself failed.
 */
import { parseArgs } from 'node:util';
import { cached, isLine } from './kernels.ts';
import { cannotBoot, inGuest } from './vm.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kernel: { type: 'string', default: '6.12' },
    arch: { type: 'string', default: 'amd64' },
    console: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  if (!isLine(values.kernel)) throw new Error(`there is no kernel line "${values.kernel}"`);
  const kernel = cached(values.arch === 'arm64' ? 'arm64' : 'amd64', values.kernel);
  const reason = cannotBoot(kernel);
  if (reason || !kernel) throw new Error(`cannot boot ${values.kernel}: ${reason}`);
  const result = await inGuest({
    kernel,
    command: positionals,
    cwd: process.cwd(),
    output: (chunk) => process.stdout.write(chunk),
  });
  if (values.console) process.stderr.write(result.file('console.log') ?? '');
  result.close();
  if (result.status === undefined) throw new Error(result.fault);
  return result.status;
}

process.exitCode = await main().catch((error: Error) => {
  console.error(`boot: ${error.message}`);
  return 125;
});
