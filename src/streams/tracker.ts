// SPDX-License-Identifier: Apache-2.0
/** Records in, frames out: keeps all streams and processes, and says who is at each end. */
import type { Payload } from '../http/connection.ts';
import { type Line, LineFramer } from '../protocols/lines.ts';
import type { HeldSocket } from '../sensor/messages.ts';
import { PAYLOAD_CHUNK } from '../source/layout.ts';
import type {
  DataRecord,
  EndpointRecord,
  RecordSink,
  SourceRecord,
  StreamRecord,
  TieRecord,
} from '../source/records.ts';
import { Aside } from './aside.ts';
import { ByObject } from './by-object.ts';
import { Descriptors } from './descriptors.ts';
import { Drained } from './drained.ts';
import { Encrypted } from './encrypted.ts';
import { Ends, type Lookup } from './ends.ts';
import type { Endpoint, HttpExchange, HttpStep, StreamItem } from './frame.ts';
import { type Hole, Merge, type MergeSink, RACE_NS, type Supplier } from './merge.ts';
import { ProcessTable } from './processes.ts';
import { HOLD_NS, ReleaseQueue } from './release.ts';
import { Sockets } from './sockets.ts';
import { type End, hasWritten, noteFormerWriter, type StopUntil, Stream } from './stream.ts';
import { Written } from './written.ts';

/** A stream that nobody recognised and that does not look like JSON is given up after so many bytes in one line. */
const UNKNOWN_LINE_MAX = 256 << 10;
/** The same when nothing can be said of the line's beginning, because it was not seen. */
const UNKNOWN_CUT_MAX = 4 << 20;
/** Ended streams are put aside this long after their last bytes. */
const FORGET_NS = 5e9;
const SWEEP_NS = 1e9;
/** How often it is looked who has closed what without a word. */
const CLOSED_NS = 5e9;
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
  readonly encrypted = new Encrypted();
  readonly #streams = new Map<number, Stream>();
  readonly #byObject = new ByObject();
  /** Ended, abandoned or never used. */
  readonly #aside = new Aside();
  readonly #queue = new ReleaseQueue();
  readonly #ends: Ends;
  readonly #verdicts: Verdicts;
  readonly #options: TrackerOptions;
  readonly #deliver: (item: StreamItem, stream: Stream) => void;
  /** Streams whose merge has a hole open. */
  readonly #holes = new Set<Stream>();
  readonly #keptWriters = new Set<number>();
  /** The TLS streams of each process. */
  readonly #tlsOf = new Map<number, Set<Stream>>();
  readonly #sockets: Sockets;
  readonly #merged: MergeSink<Stream> = {
    bytes: (stream, bytes, offset, supplier) => this.#bytes(stream, bytes, offset, supplier),
    lost: (stream, hole) => this.#lost(stream, hole),
    confirmed: (stream, offset, length, { pid }) => {
      stream.written ??= new Written();
      stream.written.add(offset, length, pid);
    },
  };
  /** TLS streams whose beginning was missed, and told of. */
  readonly #late = new WeakSet<Stream>();
  /** Whose bytes are being handled. */
  #supplier: Supplier = { time: 0, pid: 0, fd: -1, fromReader: false, packetEnd: false };
  #swept = 0;
  /** When descriptors were compared last, and whether any stream has begun since. */
  #compared = 0;
  #begun = false;

  constructor(
    options: TrackerOptions,
    lookup: Lookup,
    verdicts: Verdicts,
    deliver: (item: StreamItem, stream: Stream) => void,
  ) {
    this.#options = options;
    this.#ends = new Ends(this.processes, lookup, (from, to) => this.#byObject.between(from, to));
    this.#verdicts = verdicts;
    this.#deliver = deliver;
    this.#sockets = new Sockets(
      {
        lines: (stream, bytes, offset) => this.#lines(stream, bytes, offset),
        frame: (stream, payload) => this.#frame(stream, payload),
        step: (stream, ...step) => this.#step(stream, ...step),
        unwanted: (stream) => this.#stop(stream, 'http1-head'),
        foreign: (stream, speech, hello) => this.#foreign(stream, speech, hello),
      },
      options.maxMessage,
    );
  }

  get(id: number): Stream | undefined {
    return this.#streams.get(id);
  }

  /** These processes, and nobody else, hold these ends of connections. */
  held(sockets: readonly HeldSocket[]): void {
    this.#ends.held(sockets);
  }

  /** Who was at this end at `time`, as far as known by now. */
  whoAt(id: number, end: 'writer' | 'reader', time: number): Endpoint | undefined {
    const stream = this.#streams.get(id);
    return stream && this.#ends.who(stream, end, time);
  }

  /** Number of streams in memory. */
  get size(): number {
    return this.#streams.size;
  }

  /** This stream's bytes are not wanted: what it held is dropped and the kernel stops copying. */
  stop(id: number): void {
    const stream = this.#streams.get(id);
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
    this.#streams.get(id)?.socket?.shared.skip(exchange.id);
  }

  /** A socket speaks what we cannot read, or nothing of ours. */
  #foreign(stream: Stream, speech: 'tls' | 'unknown', hello: Buffer): void {
    for (const each of this.#sockets.both(stream)) this.#stop(each, 'always');
    if (speech !== 'tls' || stream.carrier !== 'tcp' || !stream.net) return;
    stream.net.hello = { bytes: hello, counted: new Set() };
    for (const { pid } of [stream.writer, stream.reader]) this.#encrypts(pid, stream);
  }

  /** This process is at an end of a stream: is it one more with TLS? It may have been presumed there before. */
  #encrypts(pid: number | undefined, { net }: Stream): void {
    const hello = net?.hello;
    const process = pid === undefined ? undefined : this.processes.get(pid);
    if (!process || !hello || hello.counted.has(process.pid)) return;
    hello.counted.add(process.pid);
    this.encrypted.connection(process, hello.bytes);
  }

  /** This stream is recognised; if it had been stopped, copying begins again. */
  keep(id: number): void {
    const stream = this.#streams.get(id);
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
    for (const { net, writer, reader } of this.#streams.values()) {
      if (!net?.hello) continue;
      const [from, to] = [writer.pid, reader.pid];
      if ((from === one && to === other) || (from === other && to === one)) return true;
    }
    return false;
  }

  /** Everything this process writes is worth its bytes from now on. */
  keepFrom(pid: number): void {
    if (this.#keptWriters.has(pid)) return;
    this.#keptWriters.add(pid);
    for (const stream of this.#streams.values()) if (hasWritten(stream, pid)) this.keep(stream.id);
  }

  record(record: SourceRecord): void {
    switch (record.type) {
      case 'data': {
        const stream = this.#stream(record.stream, record.time);
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
        this.#findCarrier(stream);
        stream.lastTime = record.time;
        const time = stream.drained?.wentIn(record.time) ?? record.time;
        stream.merge.data(time === record.time ? record : { ...record, time });
        if (stream.merge.waiting) this.#holes.add(stream);
        this.#giveUpUnknown(stream);
        break;
      }
      case 'gap': {
        const stream = this.#stream(record.stream, record.time);
        if (stream.stopped) return;
        stream.merge.gap(record);
        if (stream.merge.waiting) this.#holes.add(stream);
        break;
      }
      case 'stream':
        this.#begin(record);
        break;
      case 'tie':
        this.#tie(record);
        break;
      case 'endpoint':
        this.#endpoint(record);
        break;
      case 'eof': {
        const stream = this.#streams.get(record.stream);
        if (stream) this.#end(stream, record.time);
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
    for (const stream of this.#holes) {
      stream.merge.expire(time, {
        reader: this.#patience(stream, stream.reader),
        writer: this.#patience(stream, stream.writer),
      });
      if (!stream.merge.waiting) this.#holes.delete(stream);
    }
    this.#queue.pump(time);
    if (time - this.#swept > SWEEP_NS) this.#sweep(time);
    return this.#queue.length > 0 || this.#holes.size > 0;
  }

  /** The capture is over: nothing waits any longer, and what is incomplete is said to be. */
  finish(time: number): void {
    for (const stream of this.#streams.values()) {
      if (stream.stopped) continue;
      stream.merge.end(stream.lastTime || time);
      // First the socket: what it has not decided about may be lines.
      this.#endSocket(stream, stream.lastTime || time, 'stop');
      stream.framer.end('stop', (line) => this.#line(stream, line, stream.lastTime || time, undefined));
    }
    this.#queue.pump(Number.POSITIVE_INFINITY);
  }

  /** The stream of this id; one whose announcement was lost is followed all the same. */
  #stream(id: number, time: number): Stream {
    return (
      this.#streams.get(id) ??
      this.#resume(id) ??
      this.#begin({
        type: 'stream',
        time,
        pid: 0,
        stream: id,
        carrier: 'pipe',
        inode: 0,
        peerInode: 0,
        device: 0,
        pair: 0,
        joined: false,
      })
    );
  }

  /** A stream that had been put aside goes on. */
  #resume(id: number): Stream | undefined {
    const stream = this.#aside.take(id);
    if (!stream) return undefined;
    this.#streams.set(id, stream);
    this.#byObject.add(stream);
    return stream;
  }

  #begin(told: StreamRecord): Stream {
    this.#begun = true;
    const opposite = this.#streams.get(told.pair) ?? this.#aside.get(told.pair);
    const pair = opposite && isPair(told, opposite) ? opposite : undefined;
    const record = pair || !opposite ? told : { ...told, pair: 0 };
    const before = record.joined ? this.#byObject.same(record) : undefined;
    if (before && !before.ended) {
      // The kernel had forgotten an idle stream; to us it goes on.
      before.merge.restart();
      before.written = undefined;
      before.kernelId = record.stream;
      this.#streams.set(record.stream, before);
      if (before.stopped) this.#verdicts.stop(record.stream, before.stopped);
      return before;
    }
    const socket = this.#sockets.link(record, pair);
    const stream = new Stream(record, {
      // Of TCP the kernel knows the place of each byte, of TLS there is one end only.
      merge: new Merge(this.#merged, record.joined && record.carrier !== 'tcp' && record.carrier !== 'tls'),
      framer: new LineFramer({ maxSize: this.#options.maxMessage, joined: record.joined }),
      socket,
    });
    this.#streams.set(record.stream, stream);
    this.#byObject.add(stream);
    if (socket) this.#sockets.begin(stream, socket);
    // The other direction has told of the connection already.
    if (record.carrier === 'tcp') this.#ends.begun(record, pair !== undefined);
    return stream;
  }

  /** Pieces of one call have the same time. */
  #beginsCall({ socket }: Stream, { time }: DataRecord): boolean {
    return time !== socket?.recordTime;
  }

  /** Of TLS one end is all there is, and nobody tells of it when the memory it lay in is given up. */
  #endTls(pid: number, time: number): void {
    for (const stream of this.#tlsOf.get(pid) ?? []) this.#end(stream, time);
    this.#tlsOf.delete(pid);
  }

  /** It has turned out which connection carries a TLS stream. */
  #tie({ stream: id, addresses: { source, destination } }: TieRecord): void {
    const stream = this.#streams.get(id);
    if (!stream) return;
    for (const each of this.#sockets.both(stream)) {
      if (!each.net) continue;
      each.net.source = each === stream ? source : destination;
      each.net.destination = each === stream ? destination : source;
      this.#findCarrier(each);
    }
  }

  /** Addresses are used again: which connection they stand for is to be known while it is there. */
  #findCarrier(stream: Stream): void {
    const { carrier, net } = stream;
    if (carrier !== 'tls' || !net || net.carriedBy !== undefined) return;
    const { source, destination } = net;
    if (!source || !destination) return;
    net.carriedBy = this.#byObject.between(source, destination)?.id;
    this.#tellLate(stream);
  }

  /** Had clear text passed on a connection that began in sight, before the functions of its library were watched? */
  #tellLate(stream: Stream): void {
    const { joined, carriedBy, tls, writer, reader } = stream;
    const carrier = carriedBy === undefined ? undefined : this.#streams.get(carriedBy);
    const process = this.processes.get(writer.pid ?? reader.pid ?? 0);
    if (!joined || !tls || !process || carrier?.joined !== false) return;
    const both = this.#sockets.both(stream);
    if (!both.some((each) => this.#late.has(each))) this.encrypted.late(process, tls);
    for (const each of both) this.#late.add(each);
  }

  #endpoint(record: EndpointRecord): void {
    const stream = this.#streams.get(record.stream) ?? this.#resume(record.stream);
    if (record.stranger) {
      if (stream) this.#ends.stranger(stream, record);
      return;
    }
    this.processes.named(record.pid, record.comm);
    if (stream) this.#seen(stream, record.reader, record.pid, record.fd, record.time);
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
    if (stream.carrier === 'tls') {
      if (this.#isFirstSeen(stream)) this.encrypted.read(pid);
      const streams = this.#tlsOf.get(pid);
      if (streams) streams.add(stream);
      else this.#tlsOf.set(pid, new Set([stream]));
      this.#tellLate(stream);
    }
    this.#encrypts(pid, stream);
    if (reader) return;
    if (firstWriter && fd === 2) stream.stderr = true;
    if (fd === 1) stream.stderr = stream.carrier === 'stderr';
    if (stream.stderr) stream.framer.acceptText();
    if (this.#keptWriters.has(pid)) this.keep(stream.id);
  }

  /** Has nobody been seen at the opposite direction of its socket? */
  #isFirstSeen(stream: Stream): boolean {
    return this.#sockets
      .both(stream)
      .every((each) => each === stream || (each.writer.pid === undefined && each.reader.pid === undefined));
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
    stream.framer.push(bytes, offset, packetEnd, (line) => this.#line(stream, line, time, writer));
    if (stream.joined) this.#tellSkipped(stream, time);
  }

  /** HTTP carried a frame. */
  #frame(stream: Stream, { offset, size, content, http }: Payload): void {
    const { time } = this.#supplier;
    const ready = this.#ends.whenKnown(stream, content, time, http);
    const { reader } = stream;
    this.#enqueue(stream, time, size, ready, (at) => ({
      kind: 'frame',
      time: at,
      stream,
      offset,
      size,
      from: this.#ends.who(stream, 'writer', time),
      to: this.#ends.whoWas(reader, time) ?? this.#ends.who(stream, 'reader', time),
      content,
      http,
    }));
  }

  #step(stream: Stream, offset: number, exchange: HttpExchange, step: HttpStep['step']): void {
    const { time } = this.#supplier;
    this.#enqueue(stream, time, 0, always, (at) => ({
      kind: 'http',
      time: at,
      stream,
      offset,
      exchange,
      side: stream === exchange.requests ? 'request' : 'response',
      step,
      from: this.#ends.who(stream, 'writer', time),
      to: this.#ends.who(stream, 'reader', time),
    }));
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
    this.#enqueue(stream, time, 0, always, (at) => ({
      kind: 'gap',
      time: at,
      stream,
      offset: 0,
      bytes,
      frames: 1,
      cause: 'joined',
      from: this.#ends.who(stream, 'writer', time),
      to: this.#ends.who(stream, 'reader', time),
    }));
  }

  #lost(stream: Stream, hole: Hole): void {
    const { socket } = stream;
    if (socket && !socket.shared.speaksLines) {
      this.#supplier = { ...this.#supplier, time: hole.time };
      socket.shared.gap(socket.direction, hole.offset, hole.bytes);
      if (!socket.shared.mayTurnOutLines) {
        // What was left out because nobody wanted it is no loss.
        if (hole.cause !== 'stopped') this.#tellGap(stream, hole, undefined);
        return;
      }
    }
    // The frame that an earlier hole has cut is counted there.
    const counted = stream.framer.discarding ? 1 : 0;
    // Where packets end frames, newlines say nothing.
    const byLines = stream.carrier !== 'unix-seqpacket';
    const endsLine = byLines ? hole.endsLine : undefined;
    stream.framer.gap(hole.offset, hole.bytes, endsLine, (line) =>
      this.#line(stream, line, hole.time, undefined),
    );
    if (!hole.bytes) return;
    // What is lost tells nothing of its stream, unless that a line has ended in it.
    if (hole.lines) stream.unframed = 0;
    const known = endsLine !== undefined && hole.lines !== undefined;
    this.#tellGap(stream, hole, known ? Math.max(0, hole.lines + (endsLine ? 0 : 1) - counted) : undefined);
  }

  #tellGap(stream: Stream, hole: Hole, frames: number | undefined): void {
    this.#enqueue(stream, hole.time, 0, always, (time) => ({
      kind: 'gap',
      time,
      stream,
      offset: hole.offset,
      bytes: hole.bytes,
      frames,
      cause: hole.cause,
      from: this.#ends.who(stream, 'writer', hole.time),
      to: this.#ends.who(stream, 'reader', hole.time),
    }));
  }

  #line(stream: Stream, line: Line, time: number, writer: number | undefined): void {
    const last = line.offset + line.size - 1;
    const from = (pid: number | undefined) => (pid === undefined ? undefined : this.processes.get(pid));
    const known = from(writer);
    if (line.content.type !== 'incomplete') stream.unframed = 0;
    stream.begun = true;
    const bothKnown = this.#ends.whenKnown(stream, line.content, time);
    const told = writer !== undefined || !this.#willTell(stream, line.size);
    const ready = (now: number) =>
      (told || now - time > RACE_NS || stream.written?.by(last) !== undefined) && bothKnown(now);
    const { reader } = stream;
    this.#enqueue(stream, time, line.size, ready, (at) => ({
      kind: 'frame',
      time: at,
      stream,
      offset: line.offset,
      size: line.size,
      from: known ?? from(stream.written?.by(last)) ?? this.#ends.who(stream, 'writer', time),
      to: this.#ends.whoWas(reader, time) ?? this.#ends.who(stream, 'reader', time),
      content: line.content,
    }));
  }

  /** The reader has supplied a frame: will its writer's call, which is about to return, say that it is its own? */
  #willTell({ carrier, writer }: Stream, size: number): boolean {
    return carrier !== 'tls' && writer.pid !== undefined && !writer.presumed && size < PAYLOAD_CHUNK;
  }

  #end(stream: Stream, time: number): void {
    if (stream.ended) return;
    stream.ended = true;
    stream.merge.end(time);
    this.#endSocket(stream, time, 'closed');
    if (!stream.stopped) stream.framer.end('end', (line) => this.#line(stream, line, time, undefined));
    this.#enqueue(stream, time, 0, always, (at) => ({ kind: 'end', time: at, stream }));
  }

  /** The reader has had all that went in, and leaves it to the writer to tell of it. */
  #drained(stream: Stream, { offset, time }: DataRecord): void {
    stream.drained ??= new Drained(stream.merge);
    const ready = stream.drained.read(offset, time);
    if (ready) this.#queue.push({ time, size: 0, ready, go: () => {} });
  }

  /** `item` is made when the frame goes: who reads it may only be known by then. */
  #enqueue(
    stream: Stream,
    time: number,
    size: number,
    ready: (now: number) => boolean,
    item: (at: number) => StreamItem,
  ): void {
    // Order within a stream is exact, whichever processor stamped its record first.
    stream.lastOut = Math.max(stream.lastOut, time);
    this.#queue.push({ time: stream.lastOut, size, ready, go: (at) => this.#deliver(item(at), stream) });
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

  #sweep(time: number): void {
    this.#swept = time;
    const descriptors = this.#descriptors(time);
    // Not in a loop, which would make an array for each, again and again while nothing happens.
    this.#streams.forEach((stream, id) => {
      if (this.#isToBeForgotten(stream, time, descriptors)) this.#forget(id, stream);
    });
  }

  /** Has it ended, now if not before, or never been used? */
  #isToBeForgotten(stream: Stream, time: number, descriptors: Descriptors | undefined): boolean {
    if (time - stream.lastTime < FORGET_NS) return false;
    const used =
      stream.writer.pid !== undefined ||
      stream.reader.pid !== undefined ||
      stream.merge.position > 0 ||
      stream.merge.waiting;
    if (used && !stream.ended && !this.#abandoned(stream, descriptors)) return false;
    if (used) this.#end(stream, time);
    return true;
  }

  #forget(id: number, stream: Stream): void {
    this.#streams.delete(id);
    if (stream.carrier === 'tls')
      this.#tlsOf.get(stream.writer.pid ?? stream.reader.pid ?? 0)?.delete(stream);
    this.#byObject.delete(stream);
    const over = this.#isOver(stream);
    this.#aside.put(id, stream, over);
    if (!over) return;
    for (const each of this.#sockets.both(stream))
      if (this.#aside.get(each.id)) this.#aside.put(each.id, each, true);
  }

  /** Only where one has begun since the last time can a descriptor have become another stream's. */
  #descriptors(time: number): Descriptors | undefined {
    if (!this.#begun || time - this.#compared < CLOSED_NS) return undefined;
    this.#compared = time;
    this.#begun = false;
    return new Descriptors(this.#streams.values(), this.#aside.all());
  }

  /** Has the connection ended that it is a direction of? One that was never used ends with the other. */
  #isOver(stream: Stream): boolean {
    if (stream.carrier !== 'tcp' && stream.carrier !== 'tls' && stream.carrier !== 'unix') return false;
    return stream.ended || this.#sockets.both(stream).some((each) => each !== stream && each.ended);
  }

  /** Are those gone who could go on with it? Of a recognised stream, both: one may wait for the other to be started again. */
  #abandoned(stream: Stream, descriptors: Descriptors | undefined): boolean {
    const { carrier, writer, formerWriters, reader, kept } = stream;
    const noWriter =
      writer.pid !== undefined &&
      (formerWriters?.size
        ? this.#gone(writer.pid) && [...formerWriters].every((pid) => this.#gone(pid))
        : this.#gone(writer.pid) || descriptors?.closed(stream, 'writer') === true);
    const noReader =
      reader.pid !== undefined && (this.#gone(reader.pid) || descriptors?.closed(stream, 'reader') === true);
    // Of TLS one end is all there is.
    return kept && carrier !== 'tls'
      ? noWriter && (noReader || reader.pid === undefined)
      : noWriter || noReader;
  }

  #gone(pid: number): boolean {
    return this.processes.hasEnded(pid) || !this.processes.get(pid);
  }
}

const always = () => true;

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
