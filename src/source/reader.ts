// SPDX-License-Identifier: Apache-2.0
/** Drains the rings and delivers their records in one order, by the kernel's clock. */
import koffi from 'koffi';
import { decodeControl, decodeData, decodeGap } from './decode.ts';
import { Delayed } from './delayed.ts';
import type { Mappings } from './mapping.ts';
import type { ControlRecord, GapRecord, RecordSink } from './records.ts';

/** How long a drain may run before other work gets its turn, in records and bytes. */
const DRAIN_RECORDS = 4096;
const DRAIN_BYTES = 8 << 20;
/**
 * So many records are handled between two looks at the control ring, and so many of its own are read before it has room
 * again: a stream that begins takes more of it than of the data, and it is the smaller one.
 */
const LOOK_RECORDS = 256;
/** Control records that may wait for their time before more are read than a drain needs. */
const AHEAD_RECORDS = 65536;
/** While traffic flows we poll at this pace instead of being woken for each record. */
const POLL_MS = 1;
/** After so many polls that found nothing, sleep until the kernel wakes us. */
const IDLE_POLLS = 20;
/** A wake-up for a record that then found no room is lost: so look again, rarely. */
const SLEEP_MS = 250;
/** Give the kernel its room back at least this often. */
const RELEASE_BYTES = 1 << 20;

type PollHandle = ReturnType<typeof koffi.node.poll>;

const now = () => Number(process.hrtime.bigint());

export class RingReader {
  readonly #maps: Mappings;
  readonly #sink: RecordSink;
  readonly #drained: (busy: boolean) => void;
  readonly #polls: readonly PollHandle[];
  /** What is delivered by its time among the data. */
  readonly #waiting = new Delayed<ControlRecord | GapRecord>();
  /** Of these, how many were already waiting when the last drain began. */
  #ripe = 0;
  #idle = 0;
  #unsettled = false;
  /** The last drain stopped before the end. */
  #more = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  /** @param drained Called after each drain. `busy`: it has brought something, or something still waits. */
  constructor(maps: Mappings, sink: RecordSink, drained: (busy: boolean) => void) {
    this.#maps = maps;
    this.#sink = sink;
    this.#drained = drained;
    this.#polls = maps.fds.map((fd) => koffi.node.poll(fd, { readable: true }, () => this.#wake()));
    for (const poll of this.#polls) poll.stop();
  }

  /** Until then only `drain` and `finish` deliver anything. */
  start(): void {
    this.#cycle();
  }

  #wake(): void {
    for (const poll of this.#polls) poll.stop();
    clearTimeout(this.#timer);
    this.#idle = 0;
    this.#cycle();
  }

  /** One drain, then the decision when to drain again. */
  #cycle(): void {
    if (this.#stopped) return;
    const busy = this.drain() > 0 || this.#unsettled;
    this.#drained(busy);
    this.#idle = busy ? 0 : this.#idle + 1;
    if (this.#more) setImmediate(() => this.#cycle());
    else if (this.#idle < IDLE_POLLS) this.#timer = setTimeout(() => this.#cycle(), POLL_MS);
    else this.#sleep();
  }

  #sleep(): void {
    Atomics.store(this.#maps.asleep, 0, 1);
    // A record that came between the last drain and the flag would not wake us.
    if (this.#hasNews()) {
      this.#idle = 0;
      this.#timer = setTimeout(() => this.#cycle(), 0);
      return;
    }
    for (const poll of this.#polls) poll.start({ readable: true }, () => this.#wake());
    this.#timer = setTimeout(() => {
      for (const poll of this.#polls) poll.stop();
      this.#idle = IDLE_POLLS;
      this.#cycle();
    }, SLEEP_MS);
  }

  #hasNews(): boolean {
    const { data, gaps, control } = this.#maps;
    return [data, gaps, control].some((ring) => ring.produced() !== ring.position);
  }

  /** Handles what is there. @returns how many records that was. */
  drain(): number {
    const { data } = this.#maps;
    const time = now();
    // First the end of the data, then all of the other rings: what a byte needs to be understood is before it.
    const end = data.produced();
    this.#ripe = this.#waiting.length;
    const gaps = this.#readGaps();
    let read = gaps + this.#readControl();
    // A gap is not to be handled before the record that describes its stream, nor after the one that ends it.
    if (gaps) this.#waiting.sort();
    const begin = data.position;
    let released = begin;
    let reached = 0;
    let handled = 0;
    let look = LOOK_RECORDS;
    for (let at = data.next(end); at >= 0; at = data.next(end)) {
      // What the control ring had no room for lies here, too.
      const record = decodeData(data.bytes, at) ?? decodeControl(data.bytes, at);
      if (record) {
        reached = record.time;
        handled += this.#deliverUntil(record.time);
        this.#sink.record(record);
      }
      data.advance();
      handled++;
      if (data.position - released >= RELEASE_BYTES) {
        data.release();
        released = data.position;
      }
      if (handled >= look) {
        look = handled + LOOK_RECORDS;
        if (this.#waiting.length < AHEAD_RECORDS) read += this.#readControl();
      }
      if (handled >= DRAIN_RECORDS || data.position - begin >= DRAIN_BYTES) break;
    }
    data.release();
    const drained = data.position >= end;
    this.#more = !drained;
    if (drained) handled += this.#deliver(this.#ripe);
    // What was read in this drain waits for the next. If we have stood still for long, it explains data of long ago.
    const explained = Math.min(time, this.#waiting.first?.time ?? time);
    this.#unsettled = this.#sink.settled(drained ? explained : reached);
    return read + handled;
  }

  /** Read before the control records: the one that describes the stream of a gap has then been read, too. */
  #readGaps(): number {
    const { gaps } = this.#maps;
    const end = gaps.produced();
    let handled = 0;
    for (let at = gaps.next(end); at >= 0; at = gaps.next(end)) {
      const record = decodeGap(gaps.bytes, at);
      if (record) this.#waiting.push(record);
      gaps.advance();
      handled++;
    }
    gaps.release();
    return handled;
  }

  #readControl(): number {
    const { control } = this.#maps;
    const end = control.produced();
    let handled = 0;
    for (let at = control.next(end); at >= 0; at = control.next(end)) {
      const record = decodeControl(control.bytes, at);
      if (record) this.#waiting.push(record);
      control.advance();
      // While a full ring is read, as much comes anew.
      if (++handled % LOOK_RECORDS === 0) control.release();
    }
    control.release();
    return handled;
  }

  /** What waited for the data of this time. @returns how many records that was. */
  #deliverUntil(time: number): number {
    let count = 0;
    for (let next = this.#waiting.first; next && next.time <= time; next = this.#waiting.first) {
      this.#deliver(1);
      count++;
    }
    return count;
  }

  /** The first that wait. With all data of their time handled, those that waited one drain have nothing left to wait for. */
  #deliver(count: number): number {
    for (let left = count; left > 0; left--) {
      const record = this.#waiting.take();
      if (record) this.#sink.record(record);
    }
    this.#ripe = Math.max(0, this.#ripe - count);
    return count;
  }

  /** Handles all that is left, after the programs have been detached, and stops. */
  finish(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const poll of this.#polls) poll.close();
    while (this.drain());
    this.drain();
  }
}
