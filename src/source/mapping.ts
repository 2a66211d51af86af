// SPDX-License-Identifier: Apache-2.0
/** Maps the sensor's BPF maps into this process. Needs privilege once, to open them by id; not afterwards. */
import koffi from 'koffi';
import { BpfError, check, libbpf, type Pointer } from '../sensor/libbpf.ts';
import type { ReadyMessage } from '../sensor/messages.ts';
import { Ring } from './ring.ts';

const PAGE = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

const libc = koffi.load('libc.so.6');
const mmap = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)');

/** @throws BpfError when the kernel refuses the mapping. */
function map(fd: number, length: number, protection: number, offset: number): ArrayBuffer {
  const address = mmap(null, length, protection, MAP_SHARED, fd, offset) as Pointer;
  if (koffi.address(address) === 0xffffffffffffffffn) throw new BpfError('mmap', koffi.errno());
  return koffi.view(address, length);
}

function mapRing(id: number, size: number): { ring: Ring; fd: number } {
  const fd = check('bpf_map_get_fd_by_id', libbpf().mapFdById(id));
  const consumer = map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
  // Read-only for user space: one page of position, then the data twice.
  const producer = map(fd, PAGE + 2 * size, PROT_READ, PAGE);
  const data = koffi.view(koffi.address(producer) + BigInt(PAGE), 2 * size);
  return { fd, ring: new Ring({ consumer, producer, data, size }) };
}

function mapArray(id: number, entries: number): Uint32Array {
  const fd = check('bpf_map_get_fd_by_id', libbpf().mapFdById(id));
  // Values of a mappable array are 8 bytes apart, whatever their size (kernel/bpf/arraymap.c).
  const bytes = Math.ceil((entries * 8) / PAGE) * PAGE;
  return new Uint32Array(map(fd, bytes, PROT_READ | PROT_WRITE, 0));
}

/** What the monitor shares with the kernel. */
export interface Mappings {
  readonly data: Ring;
  readonly gaps: Ring;
  readonly control: Ring;
  /** Of the three rings: readable when the kernel wakes us. */
  readonly fds: readonly number[];
  /** Two words a slot, of which the first counts. */
  readonly verdicts: Uint32Array;
  readonly asleep: Uint32Array;
}

/** @throws BpfError when a map cannot be opened or mapped. */
export function mapAll(ready: ReadyMessage): Mappings {
  const data = mapRing(ready.maps.data, ready.ringSize);
  const gaps = mapRing(ready.maps.gaps, ready.gapsSize);
  const control = mapRing(ready.maps.control, ready.controlSize);
  return {
    data: data.ring,
    gaps: gaps.ring,
    control: control.ring,
    fds: [data.fd, gaps.fd, control.fd],
    verdicts: mapArray(ready.maps.verdicts, ready.verdictSlots),
    asleep: mapArray(ready.maps.asleep, 1),
  };
}
