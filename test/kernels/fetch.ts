// SPDX-License-Identifier: Apache-2.0
/** Fetches the kernels that are not in the cache yet: `node test/kernels/fetch.ts [amd64|arm64]`. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Apt, type Arch } from './apt.ts';
import { CACHE, cached, fetchKernel, LINES, type Line, SUITES } from './kernels.ts';

const arch: Arch = process.argv[2] === 'arm64' ? 'arm64' : 'amd64';
const missing = (Object.keys(LINES) as Line[]).filter((line) => !cached(arch, line));
if (missing.length > 0) {
  const apt = new Apt(CACHE, arch, SUITES);
  const tools = join(CACHE, `tools-${process.pid}`);
  try {
    await apt.update();
    await apt.unpack(['busybox-static'], tools);
    for (const line of missing) {
      const kernel = await fetchKernel(apt, arch, line, join(tools, 'usr', 'bin', 'busybox'));
      console.error(`kernels: ${line} for ${arch} is ${kernel.release} (${kernel.version})`);
    }
  } finally {
    apt.close();
    rmSync(tools, { recursive: true, force: true });
  }
}
