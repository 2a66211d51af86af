// SPDX-License-Identifier: Apache-2.0
/** Fetches the kernels, and what is to run under them, that are not in the cache yet: `node test/kernels/fetch.ts ARCH…`. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Apt, ARCHITECTURES, type Arch } from './apt.ts';
import { CACHE, cached, fetchKernel, LINES, type Line, SUITES } from './kernels.ts';
import { fetchUserland, rootOf } from './userland.ts';

async function fetchKernels(arch: Arch, lines: readonly Line[]): Promise<void> {
  const apt = new Apt(CACHE, arch, SUITES);
  const tools = join(CACHE, `tools-${process.pid}`);
  try {
    await apt.update();
    await apt.unpack(['busybox-static'], tools);
    for (const line of lines) {
      const kernel = await fetchKernel(apt, arch, line, join(tools, 'usr', 'bin', 'busybox'));
      console.error(`kernels: ${line} for ${arch} is ${kernel.release} (${kernel.version})`);
    }
  } finally {
    apt.close();
    rmSync(tools, { recursive: true, force: true });
  }
}

for (const arch of ARCHITECTURES.filter((each) => process.argv.includes(each))) {
  const missing = (Object.keys(LINES) as Line[]).filter((line) => !cached(arch, line));
  if (missing.length > 0) {
    console.error(`kernels: fetching ${missing.join(', ')} for ${arch}`);
    await fetchKernels(arch, missing);
  }
  if (!rootOf(arch)) {
    console.error(`kernels: fetching what is to run under them for ${arch}`);
    await fetchUserland(arch);
  }
}
