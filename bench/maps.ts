// SPDX-License-Identifier: Apache-2.0
/** The BPF maps of a running capture, read from outside: how many entries they hold, and how much of the kernel's memory. */
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import koffi from 'koffi';
import { check, libbpf, objectInfo } from '../src/sensor/libbpf.ts';

/** BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_LRU_HASH (include/uapi/linux/bpf.h): those whose entries come and go. */
const HASHES: readonly number[] = [1, 9];
/** Of struct bpf_map_info there. */
const INFO = { size: 48, type: 0, keySize: 8, valueSize: 12, entries: 16, name: 24, nameSize: 16 };

const lookupBatch = koffi
  .load('libbpf.so.1')
  .func(
    'int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, _Inout_ uint32_t *count, const void *options)',
  );

export interface MapState {
  readonly name: string;
  /** Bytes of the kernel's, as it accounts them (bpf_map_memory_usage(), since 6.4 exact). */
  readonly memory: number;
  /** The most entries that it takes. */
  readonly capacity: number;
  /** How many entries it holds now; `undefined` for what is no hash. */
  readonly count: number | undefined;
  /** Their keys, one behind the other. */
  readonly keys: Buffer;
}

/** All maps that a process holds a descriptor of, by name; without its maps of constants and variables. */
export function mapsOf(pid: number): Map<string, MapState> {
  const maps = new Map<string, MapState>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    const text = infoOf(pid, fd);
    const [id, memory] = ['map_id', 'memlock'].map((name) =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]),
    );
    if (!id) continue;
    const state = read(id, memory ?? 0);
    if (!state.name.includes('.')) maps.set(state.name, state);
  }
  return maps;
}

/** Empty when it has been closed meanwhile. */
function infoOf(pid: number, fd: string): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1');
  } catch {
    return '';
  }
}

function read(id: number, memory: number): MapState {
  const fd = check('bpf_map_get_fd_by_id', libbpf().mapFdById(id));
  try {
    const info = objectInfo(fd, INFO.size);
    const field = (at: number) => info.readUInt32LE(at);
    const name = info.toString('latin1', INFO.name, INFO.name + INFO.nameSize).replace(/\0.*$/s, '');
    const capacity = field(INFO.entries);
    if (!HASHES.includes(field(INFO.type)))
      return { name, memory, capacity, count: undefined, keys: Buffer.alloc(0) };
    const size = field(INFO.keySize);
    const keys = keysOf(fd, capacity, size, field(INFO.valueSize));
    return { name, memory, capacity, count: keys.length / size, keys };
  } finally {
    closeSync(fd);
  }
}

/** All at once: from one key to the next, a map whose entries go may lead in circles. */
function keysOf(fd: number, capacity: number, keySize: number, valueSize: number): Buffer {
  const keys = Buffer.alloc(capacity * keySize);
  const values = Buffer.alloc(capacity * valueSize);
  const count: [number] = [capacity];
  const result = lookupBatch(fd, null, Buffer.alloc(8), keys, values, count, null);
  // That there are no more is told as an error, too.
  if (result !== -(koffi.os.errno.ENOENT ?? 0)) check('bpf_map_lookup_batch', result);
  return keys.subarray(0, count[0] * keySize);
}
