// SPDX-License-Identifier: Apache-2.0
/** Programs of test/peers, compiled here for what runs in a VM: there it would take long, or there is no compiler. */
import { compile } from '../support/mover.ts';
import { compileTlsCalls } from '../support/tls-calls.ts';
import type { Arch } from './apt.ts';
import { compilerFor } from './userland.ts';

/** Into `directory`. @throws when one cannot be compiled. */
export function compilePeers(arch: Arch, directory: string): void {
  const compiler = compilerFor(arch);
  compile('mover', directory, compiler);
  for (const linkage of ['dynamic', 'static'] as const) compileTlsCalls(directory, linkage, compiler);
}
