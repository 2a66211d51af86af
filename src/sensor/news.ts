// SPDX-License-Identifier: Apache-2.0
/** The ring in which the kernel tells the sensor what to look at. It carries no payload. */
import koffi from 'koffi';
import { text } from '../source/decode.ts';
import { HEAD, NEWS, PATH_LENGTH, RECORD } from '../source/layout.ts';
import { Ring } from '../source/ring.ts';
import { BpfError, type Pointer } from './libbpf.ts';
import { type NamedFile, namedFile } from './mapped-files.ts';

/** What has happened to a process in scope. */
export interface News {
  /**
   * `mapped`: it has mapped a file executable; `vfork`: it has come into being and still runs in its parent's
   * memory; `tied` and `untied`: it uses a TLS connection whose socket is known, or is not.
   */
  readonly type: 'mapped' | 'fork' | 'vfork' | 'exec' | 'exit' | 'tied' | 'untied';
  readonly pid: number;
  /** Of a fork: the pid it came from; else 0. */
  readonly parent: number;
  /** What was mapped or executed. */
  readonly file?: NamedFile;
}

const TYPES: Readonly<Record<number, News['type']>> = {
  [RECORD.stream]: 'tied',
  [RECORD.fork]: 'fork',
  [RECORD.exec]: 'exec',
  [RECORD.exit]: 'exit',
  [RECORD.mapped]: 'mapped',
};
/** The longest record, bytes, with its header in the ring. */
const RECORD_MAX = 8 + NEWS.size;
/** With a `device` of 1. */
const VARIANTS: Readonly<Partial<Record<News['type'], News['type']>>> = { tied: 'untied', fork: 'vfork' };
/** `max_entries` of the ring in bpf/news.h, bytes. */
const SIZE = 256 << 10;
const PAGE = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

const libc = koffi.load('libc.so.6');
const mmap = libc.func('void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)');

function map(fd: number, length: number, protection: number, offset: number): Pointer {
  const address = mmap(null, length, protection, MAP_SHARED, fd, offset) as Pointer;
  if (koffi.address(address) === 0xffffffffffffffffn) throw new BpfError('mmap', koffi.errno());
  return address;
}

/** One record, at `at`; `undefined` for a type of a newer object. */
export function decodeNews(bytes: Buffer, at: number): News | undefined {
  const type = TYPES[bytes.readUInt16LE(at + HEAD.type)];
  if (!type) return undefined;
  const device = bytes.readUInt32LE(at + NEWS.device);
  const news = {
    type: (device && VARIANTS[type]) || type,
    pid: bytes.readUInt32LE(at + HEAD.tgid),
    parent: bytes.readUInt32LE(at + NEWS.parent),
  };
  if (type !== 'mapped' && type !== 'exec') return news;
  const path = type === 'exec' ? text(bytes, at + NEWS.path, PATH_LENGTH) : '';
  return { ...news, file: namedFile(device, bytes.readBigUInt64LE(at + NEWS.inode), path) };
}

/** Delivers news as they come, in batches: each record wakes the event loop. */
export class NewsReader {
  readonly #ring: Ring;
  readonly #poll: ReturnType<typeof koffi.node.poll>;
  readonly #deliver: (news: readonly News[]) => void;
  readonly #missed: () => void;

  /**
   * @param fd Of the ring.
   * @param missed Called when the ring was full: anything may have happened.
   * @throws BpfError when the ring cannot be mapped.
   */
  constructor(fd: number, deliver: (news: readonly News[]) => void, missed: () => void) {
    this.#deliver = deliver;
    this.#missed = missed;
    const consumer = koffi.view(map(fd, PAGE, PROT_READ | PROT_WRITE, 0), PAGE);
    const producer = map(fd, PAGE + 2 * SIZE, PROT_READ, PAGE);
    const data = koffi.view(koffi.address(producer) + BigInt(PAGE), 2 * SIZE);
    this.#ring = new Ring({ consumer, producer: koffi.view(producer, PAGE), data, size: SIZE });
    this.#poll = koffi.node.poll(fd, { readable: true }, () => this.#read());
  }

  #read(): void {
    const ring = this.#ring;
    const end = ring.produced();
    // The next record had no room, or nearly none.
    const full = end - ring.position > SIZE - 2 * RECORD_MAX;
    const news: News[] = [];
    for (let at = ring.next(end); at >= 0; at = ring.next(end)) {
      const record = decodeNews(ring.bytes, at);
      if (record) news.push(record);
      ring.advance();
    }
    ring.release();
    this.#deliver(news);
    if (full) this.#missed();
  }

  close(): void {
    this.#poll.close();
  }
}
