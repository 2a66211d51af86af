// SPDX-License-Identifier: Apache-2.0
/**
 * Recognises a message that a relay passed on: the process that read it writes it again, unchanged. A bridge between
 * stdio and HTTP may write it otherwise, as long as it says the same.
 */
import { keepYoungest } from '../youngest.ts';
import type { Hop } from './events.ts';
import { parseFrame, type RpcMessage } from './jsonrpc.ts';
import { meaningOf } from './meaning.ts';

/** Messages remembered for each process: a relay passes on what it read last, mostly in the same order. */
const REMEMBERED = 1024;
/** Longer messages are remembered by their length and this much of each end (UTF-16 units). */
const SAMPLE = 512;
/** Processes remembered; those that read longest ago are forgotten first. */
const PROCESSES = 1024;
/** Messages remembered that nobody has read yet; the oldest are forgotten first. */
const UNREAD = 64;

/** Which way a message went. */
export interface Way {
  readonly connection: number;
  readonly writer: number | undefined;
  readonly reader: number | undefined;
  /** Who reads it may yet turn out. */
  readonly unread?: boolean | undefined;
}

interface Passed {
  readonly seq: number;
  readonly connection: number;
  readonly key: number;
  readonly length: number;
  /** The message, or its two ends. */
  readonly content: string;
  /** What it says, if a bridge read it. */
  meaning: string | undefined;
  readonly hop: Hop | undefined;
  /** The connections on which it has been seen again, if any. */
  passedTo: number[] | undefined;
}

/** Told before anybody had read it: a relay may take seconds to start. */
interface Unread {
  readonly passed: Passed;
  readonly message: RpcMessage | undefined;
  readonly http: boolean;
}

/** What one process has read lately. */
interface Inbox {
  /** Mostly one each; the same text may be on its way several times, oldest first. */
  readonly byFingerprint: Map<number, Passed[]>;
  /** What a bridge has read, by what it says. */
  readonly byMeaning: Map<string, Passed[]>;
  /** All of it in order of arrival, as a ring. */
  readonly order: Passed[];
  next: number;
  /** Has it read over HTTP, and otherwise? */
  http: boolean;
  stdio: boolean;
  /** It reads one way and writes the other. */
  bridge: boolean;
  /** The only connection it has read from, or 0 for several: then it may be a relay. */
  connection: number;
}

export class Hops {
  /** Of who read longest ago first. */
  readonly #inboxes = new Map<number, Inbox>();
  /** Who read last. */
  #last: number | undefined;
  /** By `seq`, the oldest first. */
  readonly #unread = new Map<number, Unread>();

  /**
   * Notes that message `seq` went this way, and answers where it had been before, if its writer had read the same text
   * on another connection.
   * @param message The same, parsed: what a bridge wrote may only say the same.
   * @param http Did HTTP carry it?
   */
  note(seq: number, way: Way, raw: string | Buffer, message?: RpcMessage, http = false): Hop | undefined {
    const { connection, writer, reader } = way;
    const content = contentOf(raw);
    const { length } = raw;
    const key = fingerprint(content, length);
    const inbox = writer === undefined ? undefined : this.#inboxes.get(writer);
    if (inbox && !inbox.bridge && (http ? inbox.stdio : inbox.http)) becomeBridge(inbox);
    let before: Passed | undefined;
    if (inbox && inbox.connection !== connection) {
      const same = (each: Passed) => each.length === length && each.content === content;
      before = find(inbox.byFingerprint.get(key), connection, same);
      const meaning = !before && inbox.bridge && message ? meaningOf(message) : undefined;
      if (meaning !== undefined) before = find(inbox.byMeaning.get(meaning), connection, () => true);
    }
    const hop = before && {
      number: (before.hop?.number ?? 1) + 1,
      previous: before.seq,
      origin: before.hop?.origin ?? before.seq,
    };
    // What is passed on is the same text: it is kept once.
    const text = before?.length === length && before.content === content ? before.content : content;
    const passed = {
      seq,
      connection,
      key,
      length,
      content: text,
      meaning: undefined,
      hop,
      passedTo: undefined,
    };
    if (reader !== undefined) this.#remember(reader, passed, message, http);
    else if (way.unread) {
      this.#unread.set(seq, { passed, message, http });
      keepYoungest(this.#unread, UNREAD);
    }
    return hop;
  }

  /** It has turned out who has read message `seq`, which was noted without a reader. */
  read(seq: number, reader: number): void {
    const unread = this.#unread.get(seq);
    if (!unread) return;
    this.#unread.delete(seq);
    this.#remember(reader, unread.passed, unread.message, unread.http);
  }

  #remember(reader: number, passed: Passed, message: RpcMessage | undefined, http: boolean): void {
    const inbox = this.#inboxes.get(reader) ?? newInbox(passed.connection);
    if (reader !== this.#last) {
      this.#last = reader;
      this.#inboxes.delete(reader);
      this.#inboxes.set(reader, inbox);
      keepYoungest(this.#inboxes, PROCESSES);
    }
    if (inbox.connection !== passed.connection) inbox.connection = 0;
    if (http) inbox.http = true;
    else inbox.stdio = true;
    const oldest = inbox.order[inbox.next];
    if (oldest !== undefined) forget(inbox, oldest);
    inbox.order[inbox.next] = passed;
    inbox.next = (inbox.next + 1) % REMEMBERED;
    file(inbox.byFingerprint, passed.key, passed);
    if (!inbox.bridge || !message) return;
    passed.meaning = meaningOf(message);
    if (passed.meaning !== undefined) file(inbox.byMeaning, passed.meaning, passed);
  }
}

function newInbox(connection: number): Inbox {
  return {
    byFingerprint: new Map(),
    byMeaning: new Map(),
    order: [],
    next: 0,
    http: false,
    stdio: false,
    bridge: false,
    connection,
  };
}

/** From now on what it reads is remembered by what it says, too, and so is what it has read and is short. */
function becomeBridge(inbox: Inbox): void {
  inbox.bridge = true;
  const inOrder = [...inbox.order.slice(inbox.next), ...inbox.order.slice(0, inbox.next)];
  for (const passed of inOrder) {
    if (passed.length !== passed.content.length) continue;
    const parsed = parseFrame(passed.content);
    const [message] = parsed.type === 'messages' ? parsed.messages : [];
    passed.meaning = message && meaningOf(message);
    if (passed.meaning !== undefined) file(inbox.byMeaning, passed.meaning, passed);
  }
}

function file<K>(map: Map<K, Passed[]>, key: K, passed: Passed): void {
  const same = map.get(key);
  if (same) same.push(passed);
  else map.set(key, [passed]);
}

function forget(inbox: Inbox, oldest: Passed): void {
  unfile(inbox.byFingerprint, oldest.key);
  if (oldest.meaning !== undefined) unfile(inbox.byMeaning, oldest.meaning);
}

/** What was filed longest ago under this key goes first. */
function unfile<K>(map: Map<K, Passed[]>, key: K): void {
  const same = map.get(key);
  same?.shift();
  if (!same?.length) map.delete(key);
}

/** Of several copies, the first that has not been passed on to this connection; else the last, once more. */
function find(
  all: readonly Passed[] | undefined,
  connection: number,
  same: (each: Passed) => boolean,
): Passed | undefined {
  let last: Passed | undefined;
  for (const each of all ?? []) {
    if (each.connection === connection || !same(each)) continue;
    if (!each.passedTo?.includes(connection)) {
      if (each.passedTo) each.passedTo.push(connection);
      else each.passedTo = [connection];
      return each;
    }
    last = each;
  }
  return last;
}

/** From its length, its beginning, where id and method mostly are, and its end; checked against the content on a match. */
function fingerprint(content: string, size: number): number {
  const { length } = content;
  const head = Math.min(length, 64);
  let hash = size | 0;
  for (let at = 0; at < head; at++) hash = (Math.imul(hash, 31) + content.charCodeAt(at)) | 0;
  for (let at = Math.max(head, length - 16); at < length; at++)
    hash = (Math.imul(hash, 31) + content.charCodeAt(at)) | 0;
  return hash;
}

/** A slice would keep the whole message in memory, so a long one's ends are copied. */
function contentOf(raw: string | Buffer): string {
  if (typeof raw !== 'string')
    return raw.toString('latin1', 0, SAMPLE) + raw.toString('latin1', raw.length - SAMPLE);
  if (raw.length <= 2 * SAMPLE) return raw;
  return Buffer.from(raw.slice(0, SAMPLE) + raw.slice(-SAMPLE)).toString();
}
