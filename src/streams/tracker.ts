// SPDX-License-Identifier: Apache-2.0
/** Records in, frames out: what each record does to its stream. */
import { LineFramer } from '../protocols/lines.ts';
import type { HeldSocket } from '../sensor/messages.ts';
import type {
  DataRecord,
  EndpointRecord,
  RecordSink,
  SourceRecord,
  StreamRecord,
} from '../source/records.ts';
import { Drained } from './drained.ts';
import type { Encrypted } from './encrypted.ts';
import { Ends, type Lookup } from './ends.ts';
import type { Endpoint, HttpExchange, StreamItem } from './frame.ts';
import { type Hole, Merge, type MergeSink, type Supplier } from './merge.ts';
import { Outgoing } from './outgoing.ts';
import { ProcessTable } from './processes.ts';
import { HOLD_NS } from './release.ts';
import { Sockets } from './sockets.ts';
import { type End, hasWritten, noteFormerWriter, type StopUntil, Stream } from './stream.ts';
import { StreamTable } from './table.ts';
import { TlsStreams } from './tls-streams.ts';
import { Unannounced } from './unannounced.ts';
import { Written } from './written.ts';

/** A stream that nobody recognised and that does not look like JSON is given up after so many bytes in one line. */
const UNKNOWN_LINE_MAX = 256 << 10;
/** The same when nothing can be said of the line's beginning, because it was not seen. */
const UNKNOWN_CUT_MAX = 4 << 20;
/** A process in scope that is at the other end may take so long for bytes that were moved unseen. */
const PATIENCE_NS = 60e9;

export type { StopUntil };

/** The kernel's ear: which streams are worth copying. */
export interface Verdicts {
  stop(stream: number, until: StopUntil): void;
  resume(stream: number): void;
}

export interface TrackerOptions {
  /** Bytes; a longer frame is reported with its size and its head only. */
  readonly maxMessage: number;
}

export class Tracker implements RecordSink {
  readonly processes = new ProcessTable();
  /** What was seen of TLS, and whose clear text was not. */
  readonly encrypted: Encrypted;
  readonly #table: StreamTable;
  readonly #sockets: Sockets;
  readonly #tls: TlsStreams;
  readonly #ends: Ends;
  readonly #outgoing: Outgoing;
  readonly #verdicts: Verdicts;
  readonly #options: TrackerOptions;
  readonly #unannounced = new Unannounced();
  /** Streams whose merge has a hole open. */
  readonly #holes = new Set<Stream>();
  readonly #keptWriters = new Set<number>();
  readonly #merged: MergeSink<Stream> = {
    bytes: (stream, bytes, offset, supplier) => this.#bytes(stream, bytes, offset, supplier),
    lost: (stream, hole) => this.#lost(stream, hole),
    confirmed: (stream, offset, length, { pid }) => {
      stream.written ??= new Written();
      stream.written.add(offset, length, pid);
    },
  };
  /** Whose bytes are being handled. */
  #supplier: Supplier = { time: 0, pid: 0, fd: -1, fromReader: false, packetEnd: false };

  constructor(
    options: TrackerOptions,
    lookup: Lookup,
    verdicts: Verdicts,
    deliver: (item: StreamItem, stream: Stream) => void,
  ) {
    this.#options = options;
    this.#verdicts = verdicts;
    this.#sockets = new Sockets(
      {
        lines: (stream, bytes, offset) => this.#lines(stream, bytes, offset),
        frame: (stream, payload) => this.#outgoing.payload(stream, payload, this.#supplier.time),
        step: (stream, ...step) => this.#outgoing.step(stream, ...step, this.#supplier.time),
        unwanted: (stream) => this.#stop(stream, 'http1-head'),
        foreign: (stream, speech, hello) => this.#foreign(stream, speech, hello),
      },
      options.maxMessage,
    );
    this.#table = new StreamTable(this.processes, this.#sockets, {
      end: (stream, time) => this.#end(stream, time),
      forgotten: (stream) => this.#tls.forget(stream),
    });
    this.#tls = new TlsStreams(this.processes, this.#sockets, this.#table);
    this.encrypted = this.#tls.encrypted;
    this.#ends = new Ends(this.processes, lookup, (from, to) => this.#table.between(from, to));
    this.#outgoing = new Outgoing(this.#ends, this.processes, deliver);
  }

  get(id: number): Stream | undefined {
    return this.#table.get(id);
  }

  /** These processes, and nobody else, hold these ends of connections. */
  held(sockets: readonly HeldSocket[]): void {
    this.#ends.held(sockets);
  }

  /** Who was at this end at `time`, as far as known by now. */
  whoAt(id: number, end: 'writer' | 'reader', time: number): Endpoint | undefined {
    const stream = this.#table.get(id);
    return stream && this.#ends.who(stream, end, time);
  }

  /** Number of streams in memory. */
  get size(): number {
    return this.#table.size;
  }

  /** This stream's bytes are not wanted: what it held is dropped and the kernel stops copying. */
  stop(id: number): void {
    const stream = this.#table.get(id);
    if (stream) this.#stop(stream, 'always');
  }

  #stop(stream: Stream, until: StopUntil): void {
    if (stream.stopped) return;
    stream.stopped = until;
    stream.merge.skip();
    this.#verdicts.stop(stream.kernelId, until);
  }

  /** The rest of this exchange is not wanted; a later one on the same connection may be. */
  skipExchange(id: number, exchange: HttpExchange): void {
    this.#table.get(id)?.socket?.shared.skip(exchange.id);
  }

  /** A socket speaks what we cannot read, or nothing of ours. */
  #foreign(stream: Stream, speech: 'tls' | 'unknown', hello: Buffer): void {
    for (const each of this.#sockets.both(stream)) this.#stop(each, 'always');
    if (speech === 'tls') this.#tls.began(stream, hello);
  }

  /** This stream is recognised; if it had been stopped, copying begins again. */
  keep(id: number): void {
    const stream = this.#table.get(id);
    if (!stream) return;
    // Ciphertext stays what it is, whoever sends it.
    if (stream.socket?.shared.isForeign) return;
    stream.kept = true;
    if (stream.stopped) this.#resumeCopying(stream);
  }

  #resumeCopying(stream: Stream): void {
    stream.stopped = undefined;
    this.#verdicts.resume(stream.kernelId);
  }

  /** Has TLS been seen on a TCP connection between these two? */
  encrypts(one: number, other: number): boolean {
    return this.#tls.between(one, other);
  }

  /** Everything this process writes is worth its bytes from now on. */
  keepFrom(pid: number): void {
    if (this.#keptWriters.has(pid)) return;
    this.#keptWriters.add(pid);
    for (const stream of this.#table.values()) if (hasWritten(stream, pid)) this.keep(stream.id);
  }

  record(record: SourceRecord): void {
    switch (record.type) {
      case 'data': {
        const stream = this.#table.resumed(record.stream);
        if (!stream) {
          this.#unannounced.add(record);
          return;
        }
        if (record.resumed) stream.stopped = undefined;
        // On its way before the kernel knew: to be seen as the kernel would have seen it.
        else if (
          stream.stopped === 'http1-head' &&
          this.#beginsCall(stream, record) &&
          beginsHttp1(record.bytes)
        )
          this.#resumeCopying(stream);
        if (stream.socket) stream.socket.recordTime = record.time;
        if (stream.stopped) return;
        if (!record.bytes.length) {
          this.#drained(stream, record);
          return;
        }
        stream.ended = false;
        this.#seen(stream, record.fromReader, record.pid, record.fd, record.time);
        this.#tls.findCarrier(stream);
        stream.lastTime = record.time;
        const time = stream.drained?.wentIn(record.time) ?? record.time;
        stream.merge.data(time === record.time ? record : { ...record, time });
        if (stream.merge.waiting) this.#holes.add(stream);
        this.#giveUpUnknown(stream);
        break;
      }
      case 'gap': {
        const stream = this.#table.resumed(record.stream);
        if (!stream) this.#unannounced.add(record);
        if (!stream || stream.stopped) return;
        stream.merge.gap(record);
        if (stream.merge.waiting) this.#holes.add(stream);
        break;
      }
      case 'stream':
        this.#begin(record);
        this.#catchUp(record.stream);
        break;
      case 'tie': {
        const stream = this.#table.get(record.stream);
        if (stream) this.#tls.tied(stream, record.addresses);
        break;
      }
      case 'endpoint':
        this.#endpoint(record);
        break;
      case 'eof': {
        const stream = this.#table.get(record.stream);
        if (stream) this.#end(stream, record.time);
        else if (this.#unannounced.has(record.stream)) this.#unannounced.add(record);
        break;
      }
      case 'fork':
        this.processes.fork(record);
        break;
      case 'exec':
        this.processes.exec(record);
        this.#endTls(record.pid, record.time);
        if (!record.exe.startsWith('/')) this.#ends.askProcess(record.pid);
        break;
      case 'exit':
        this.processes.exit(record);
        this.#endTls(record.pid, record.time);
        this.#keptWriters.delete(record.pid);
        break;
    }
  }

  settled(time: number): boolean {
    for (const id of this.#unannounced.overdue(time)) this.#beginUnannounced(id, time);
    for (const stream of this.#holes) {
      stream.merge.expire(time, {
        reader: this.#patience(stream, stream.reader),
        writer: this.#patience(stream, stream.writer),
      });
      if (!stream.merge.waiting) this.#holes.delete(stream);
    }
    this.#outgoing.pump(time);
    this.#table.sweep(time);
    return this.#outgoing.length > 0 || this.#holes.size > 0 || this.#unannounced.size > 0;
  }

  /** The capture is over: nothing waits any longer, and what is incomplete is said to be. */
  finish(time: number): void {
    for (const id of this.#unannounced.overdue(Number.POSITIVE_INFINITY)) this.#beginUnannounced(id, time);
    for (const stream of this.#table.values()) {
      if (stream.stopped) continue;
      stream.merge.end(stream.lastTime || time);
      // First the socket: what it has not decided about may be lines.
      this.#endSocket(stream, stream.lastTime || time, 'stop');
      stream.framer.end('stop', (line) =>
        this.#outgoing.line(stream, line, stream.lastTime || time, undefined),
      );
    }
    this.#outgoing.pump(Number.POSITIVE_INFINITY);
  }

  /** What of this stream came before its announcement. */
  #catchUp(id: number): void {
    for (const record of this.#unannounced.take(id)) this.record(record);
  }

  /** One whose announcement was lost is followed all the same. */
  #beginUnannounced(stream: number, time: number): void {
    const unknown = { carrier: 'pipe', inode: 0, peerInode: 0, device: 0, pair: 0, joined: false } as const;
    this.#begin({ type: 'stream', time, pid: 0, stream, ...unknown });
    this.#catchUp(stream);
  }

  #begin(told: StreamRecord): Stream {
    const named = this.#table.named(told);
    const pair = named && isPair(told, named) ? named : undefined;
    const record = pair || !named ? told : { ...told, pair: 0 };
    // Of TCP the kernel knows the place of each byte, of TLS there is one end only.
    const joined = record.joined && record.carrier !== 'tcp' && record.carrier !== 'tls';
    const before = this.#table.renumbered(record);
    if (before) {
      before.merge.restart(joined);
      before.written = undefined;
      before.drained = undefined;
      if (before.stopped) this.#verdicts.stop(record.stream, before.stopped);
      return before;
    }
    const socket = this.#sockets.link(record, pair);
    const stream = new Stream(record, {
      merge: new Merge(this.#merged, joined),
      framer: new LineFramer({ maxSize: this.#options.maxMessage, joined: record.joined }),
      socket,
    });
    this.#table.add(stream);
    if (socket) this.#sockets.begin(stream, socket);
    // The other direction has told of the connection already.
    if (record.carrier === 'tcp') this.#ends.begun(record, pair !== undefined);
    return stream;
  }

  /** Pieces of one call have the same time. */
  #beginsCall({ socket }: Stream, { time }: DataRecord): boolean {
    return time !== socket?.recordTime;
  }

  #endTls(pid: number, time: number): void {
    for (const stream of this.#tls.takeOf(pid)) this.#end(stream, time);
  }

  #endpoint(record: EndpointRecord): void {
    const stream = this.#table.resumed(record.stream);
    if (!stream) {
      this.#unannounced.add(record);
      return;
    }
    if (record.stranger) {
      this.#ends.stranger(stream, record);
      return;
    }
    this.processes.named(record.pid, record.comm);
    this.#seen(stream, record.reader, record.pid, record.fd, record.time);
  }

  #seen(stream: Stream, reader: boolean, pid: number, fd: number, time: number): void {
    const end = reader ? stream.reader : stream.writer;
    if (end.pid === pid && !end.presumed) return;
    const firstWriter = stream.writer.pid === undefined && !stream.formerWriters;
    if (!reader && end.pid !== pid) noteFormerWriter(stream, pid);
    end.pid = pid;
    end.fd = fd;
    end.since = time;
    end.presumed = false;
    if (!this.processes.get(pid)) this.#ends.askProcess(pid);
    this.#tls.seen(stream, pid);
    if (reader) return;
    if (firstWriter && fd === 2) stream.stderr = true;
    if (fd === 1) stream.stderr = stream.carrier === 'stderr';
    if (stream.stderr) stream.framer.acceptText();
    if (this.#keptWriters.has(pid)) this.keep(stream.id);
  }

  #bytes(stream: Stream, bytes: Buffer, offset: number, by: Supplier): void {
    const { socket } = stream;
    this.#supplier = by;
    if (!socket || socket.shared.speaksLines) {
      this.#lines(stream, bytes, offset);
      return;
    }
    const boundary = by.time !== socket.callTime;
    socket.callTime = by.time;
    socket.shared.push(socket.direction, bytes, offset, boundary);
  }

  #lines(stream: Stream, bytes: Buffer, offset: number): void {
    const { time, pid, fromReader, packetEnd } = this.#supplier;
    const writer = fromReader ? undefined : pid;
    stream.unframed += bytes.length;
    stream.framer.push(bytes, offset, packetEnd, (line) => this.#outgoing.line(stream, line, time, writer));
    if (stream.joined) this.#tellSkipped(stream, time);
  }

  #endSocket(stream: Stream, time: number, how: 'closed' | 'stop'): void {
    this.#supplier = { ...this.#supplier, time };
    stream.socket?.shared.end(stream.socket.direction, how);
  }

  /** Where the capture began in the middle of a message, the rest of it is of no use, but not passed over in silence. */
  #tellSkipped(stream: Stream, time: number): void {
    const bytes = stream.framer.takeSkipped();
    if (!bytes || stream.stderr || stream.begun) return;
    stream.begun = true;
    this.#outgoing.gap(stream, { time, offset: 0, bytes, cause: 'joined' }, 1);
  }

  #lost(stream: Stream, hole: Hole): void {
    const { socket } = stream;
    if (socket && !socket.shared.speaksLines) {
      this.#supplier = { ...this.#supplier, time: hole.time };
      socket.shared.gap(socket.direction, hole.offset, hole.bytes);
      if (!socket.shared.mayTurnOutLines) {
        // What was left out because nobody wanted it is no loss.
        if (hole.cause !== 'stopped') this.#outgoing.gap(stream, hole, undefined);
        return;
      }
    }
    // The frame that an earlier hole has cut is counted there.
    const counted = stream.framer.discarding ? 1 : 0;
    // Where packets end frames, newlines say nothing.
    const byLines = stream.carrier !== 'unix-seqpacket';
    const endsLine = byLines ? hole.endsLine : undefined;
    stream.framer.gap(hole.offset, hole.bytes, endsLine, (line) =>
      this.#outgoing.line(stream, line, hole.time, undefined),
    );
    if (!hole.bytes) return;
    // What is lost tells nothing of its stream, unless that a line has ended in it.
    if (hole.lines) stream.unframed = 0;
    const known = endsLine !== undefined && hole.lines !== undefined;
    this.#outgoing.gap(
      stream,
      hole,
      known ? Math.max(0, hole.lines + (endsLine ? 0 : 1) - counted) : undefined,
    );
  }

  #end(stream: Stream, time: number): void {
    if (stream.ended) return;
    stream.ended = true;
    stream.merge.end(time);
    this.#endSocket(stream, time, 'closed');
    if (!stream.stopped)
      stream.framer.end('end', (line) => this.#outgoing.line(stream, line, time, undefined));
    this.#outgoing.end(stream, time);
  }

  /** The reader has had all that went in, and leaves it to the writer to tell of it. */
  #drained(stream: Stream, { offset, time }: DataRecord): void {
    stream.drained ??= new Drained(stream.merge);
    const ready = stream.drained.read(offset, time);
    if (ready) this.#outgoing.wait(time, ready);
  }

  /** How long this end's calls may take to bring what the other end moved unseen, nanoseconds. */
  #patience(stream: Stream, { pid, presumed }: End): number {
    if (stream.ended || stream.joined || presumed) return 0;
    if (pid !== undefined) return this.processes.hasEnded(pid) ? 0 : PATIENCE_NS;
    // Where /proc names nobody out of scope, it is a process in scope, which may take long to begin.
    this.#ends.ask(stream);
    return stream.answered && stream.carrier !== 'tcp' ? PATIENCE_NS : HOLD_NS;
  }

  #giveUpUnknown(stream: Stream): void {
    const { framer } = stream;
    if (stream.kept || stream.unframed < (framer.startIsKnown ? UNKNOWN_LINE_MAX : UNKNOWN_CUT_MAX)) return;
    if (stream.socket && !stream.socket.shared.speaksLines) return;
    if (framer.discarding || !framer.startsLikeJson) this.stop(stream.id);
  }
}

/**
 * Is it the opposite direction of the same socket? The kernel finds it by the address of the socket's memory, or by
 * those of the network, which may be used again while the stream of an earlier one is still known.
 */
function isPair(record: StreamRecord, other: Stream): boolean {
  if (record.carrier === 'tcp') return record.joined || !other.ended;
  if (record.carrier !== 'unix' && record.carrier !== 'unix-seqpacket') return true;
  const same = (one: number, two: number) => one === 0 || two === 0 || one === two;
  return same(record.inode, other.peerInode) && same(record.peerInode, other.inode);
}

const HTTP1_HEAD = /^(?:HTTP\/1|(?!HTTP)[A-Z]{3,7} )/;

/** Does the kernel take this for the head of a message? (`begins_http1` in bpf/streams.h.) */
function beginsHttp1(bytes: Buffer): boolean {
  return HTTP1_HEAD.test(bytes.toString('latin1', 0, 8));
}
