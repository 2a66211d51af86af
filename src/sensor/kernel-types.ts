// SPDX-License-Identifier: Apache-2.0
/** What the running kernel's BTF names. To read it takes 10 ms, so all who ask share one. */
import koffi from 'koffi';
import { BpfError, libbpf, type Pointer } from './libbpf.ts';

/** In include/uapi/linux/btf.h. */
const BTF_KIND_TYPEDEF = 8;
const BTF_KIND_FUNC = 12;

let btf: Pointer | undefined;

function find(name: string, kind: number): number {
  const bpf = libbpf();
  btf ??= bpf.loadVmlinuxBtf() ?? undefined;
  if (!btf) throw new BpfError('btf__load_vmlinux_btf', koffi.errno());
  return bpf.findBtfId(btf, name, kind);
}

/** The id of a function's type, negative when there is none. @throws BpfError when there is no BTF. */
export function kernelFunction(name: string): number {
  return find(name, BTF_KIND_FUNC);
}

/** May a program be attached to this tracepoint? @throws BpfError when there is no BTF. */
export function hasTracepoint(name: string): boolean {
  return find(`btf_trace_${name}`, BTF_KIND_TYPEDEF) > 0;
}

/** Gives back the memory, megabytes; whoever asks later reads it again. */
export function forgetKernelTypes(): void {
  if (btf) libbpf().freeBtf(btf);
  btf = undefined;
}
