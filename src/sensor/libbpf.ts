// SPDX-License-Identifier: Apache-2.0
/** The system's libbpf (≥ 1.0), called through koffi. Only what the sensor and the monitor need. */
import koffi from 'koffi';

/** An opaque pointer of libbpf's. */
export type Pointer = bigint;

/** A libbpf or bpf(2) call that failed, with errno as a number and by name. */
export class BpfError extends Error {
  readonly call: string;
  readonly errno: number;
  readonly code: string;

  constructor(call: string, errno: number) {
    const code = errnoName(errno);
    super(`${call} failed: ${code}`);
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** Of the kernel's own only (include/linux/errno.h), and seen all the same, where it has no trampolines. */
const ENOTSUPP = 524;
const errnoNames = new Map([
  ...Object.entries(koffi.os.errno).map(([name, value]) => [value, name] as const),
  [ENOTSUPP, 'ENOTSUPP'],
]);

function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

function declare(library: ReturnType<typeof koffi.load>) {
  const f = (prototype: string) => library.func(prototype);
  const libc = koffi.load('libc.so.6');
  return {
    versionString: f('const char *libbpf_version_string()'),
    setPrint: f('void *libbpf_set_print(void *print)'),
    possibleCpus: f('int libbpf_num_possible_cpus()'),
    loadVmlinuxBtf: f('void *btf__load_vmlinux_btf()'),
    findBtfId: f('int btf__find_by_name_kind(const void *btf, const char *name, uint32_t kind)'),
    freeBtf: f('void btf__free(void *btf)'),
    loadProgram: f(
      'int bpf_prog_load(int type, const char *name, const char *license, const void *instructions, size_t count, const void *options)',
    ),
    openTracepoint: f('int bpf_raw_tracepoint_open(const char *name, int program)'),
    closeFd: libc.func('int close(int fd)'),
    open: f('void *bpf_object__open_file(const char *path, const void *options)'),
    load: f('int bpf_object__load(void *object)'),
    close: f('void bpf_object__close(void *object)'),
    findMap: f('void *bpf_object__find_map_by_name(const void *object, const char *name)'),
    mapFd: f('int bpf_map__fd(const void *map)'),
    setMaxEntries: f('int bpf_map__set_max_entries(void *map, uint32_t max_entries)'),
    setAutocreate: f('int bpf_map__set_autocreate(void *map, bool autocreate)'),
    initialValue: f('void *bpf_map__initial_value(void *map, _Out_ size_t *size)'),
    findProgram: f('void *bpf_object__find_program_by_name(const void *object, const char *name)'),
    setAutoload: f('int bpf_program__set_autoload(void *program, bool autoload)'),
    setAttachTarget: f(
      'int bpf_program__set_attach_target(void *program, int attach_program, const char *function)',
    ),
    programFd: f('int bpf_program__fd(const void *program)'),
    setFlags: f('int bpf_program__set_flags(void *program, uint32_t flags)'),
    setExpectedAttachType: f('int bpf_program__set_expected_attach_type(void *program, int type)'),
    attach: f('void *bpf_program__attach(const void *program)'),
    attachUprobe: f(
      'void *bpf_program__attach_uprobe_opts(const void *program, int pid, const char *path, size_t offset, const void *options)',
    ),
    attachIter: f('void *bpf_program__attach_iter(const void *program, const void *options)'),
    linkFd: f('int bpf_link__fd(const void *link)'),
    createIter: f('int bpf_iter_create(int link)'),
    destroyLink: f('int bpf_link__destroy(void *link)'),
    objectInfo: f('int bpf_obj_get_info_by_fd(int fd, void *info, _Inout_ uint32_t *length)'),
    mapFdById: f('int bpf_map_get_fd_by_id(uint32_t id)'),
    update: f('int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)'),
    lookup: f('int bpf_map_lookup_elem(int fd, const void *key, void *value)'),
    remove: f('int bpf_map_delete_elem(int fd, const void *key)'),
    nextKey: f('int bpf_map_get_next_key(int fd, const void *key, void *next)'),
    createMap: f(
      'int bpf_map_create(int type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, const void *options)',
    ),
  };
}

export type LibBpf = ReturnType<typeof declare>;

let loaded: LibBpf | undefined;

/**
 * Loads libbpf once and silences its own messages.
 * @throws when the library is not installed.
 */
export function libbpf(): LibBpf {
  if (!loaded) {
    loaded = declare(koffi.load('libbpf.so.1'));
    loaded.setPrint(null);
  }
  return loaded;
}

/** Checks a call that answers a negative errno. */
export function check(call: string, result: number): number {
  if (result < 0) throw new BpfError(call, -result);
  return result;
}

/** Checks a call that answers a null pointer and sets errno. */
export function checkPointer(call: string, pointer: Pointer | null): Pointer {
  if (!pointer) throw new BpfError(call, koffi.errno());
  return pointer;
}

/** The id by which another privileged process can get a descriptor of this map. */
export function mapId(fd: number): number {
  // struct bpf_map_info begins with u32 type, u32 id (include/uapi/linux/bpf.h).
  return objectInfo(fd, 128).readUInt32LE(4);
}

/** The first `size` bytes of what the kernel tells of a map or a program. */
export function objectInfo(fd: number, size: number): Buffer {
  const info = Buffer.alloc(size);
  check('bpf_obj_get_info_by_fd', libbpf().objectInfo(fd, info, [size]));
  return info;
}
