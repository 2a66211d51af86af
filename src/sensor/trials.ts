// SPDX-License-Identifier: Apache-2.0
/** What `mcpspy doctor` tries in the kernel, step by step, each on what the step before left. */
import { closeSync } from 'node:fs';
import type { Backend } from './backend.ts';
import { check, libbpf } from './libbpf.ts';
import { type Loaded, load } from './load.ts';
import { Programs } from './programs.ts';
import { type Rehearsal, TlsWatch } from './tls.ts';
import { type UprobeSupport, uprobeSupport } from './uprobes.ts';

/** BPF_MAP_TYPE_RINGBUF in include/uapi/linux/bpf.h. */
const RING_BUFFER = 27;

/** The version of the system's libbpf, such as `v1.1`. */
export function libbpfVersion(): string {
  return String(libbpf().versionString());
}

/** @throws BpfError when the kernel has no ring buffers, or not for us. */
export function createRing(bytes: number): void {
  closeSync(
    check('creating a ring buffer', libbpf().createMap(RING_BUFFER, 'mcpspy_trial', 0, 0, bytes, null)),
  );
}

/** @throws BpfError when the verifier or the kernel refuses. */
export function loadPrograms(ringSize: number): Programs {
  return new Programs({ ringSize, wholeMachine: false });
}

/** Which back end a capture would have, and why not the other one. @throws BpfError when it would have none. */
export function tryBackends(
  ringSize: number,
): Pick<Loaded, 'refusal' | 'leavesOut' | 'missing'> & { backend: Backend } {
  const { programs, refusal, leavesOut, missing } = load(
    { ringSize, wholeMachine: false, backend: 'auto', running: undefined },
    () => {},
  );
  programs.close();
  return { backend: programs.backend, refusal, leavesOut, missing };
}

/** What came of probing the TLS library of this process itself. */
export interface TlsTrial extends Rehearsal, UprobeSupport {}

/** @throws BpfError when the verifier refuses the programs behind the probes. */
export function tryTls(ringSize: number): TlsTrial {
  const uprobes = uprobeSupport();
  const programs = new Programs({ ringSize, wholeMachine: false, uprobes });
  if (!programs.tls) return { ...uprobes, refusal: undefined, files: [] };
  const watch = new TlsWatch({
    kind: uprobes.kind,
    programs: programs.tls,
    wholeMachine: false,
    inScope: () => false,
    found: () => {},
  });
  const rehearsal = watch.rehearse();
  watch.close();
  programs.close();
  return { ...uprobes, ...rehearsal };
}

export type { Programs };
