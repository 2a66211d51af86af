// SPDX-License-Identifier: Apache-2.0
/** Makes the events of the bus and numbers them in output order. */
import type { Bus } from '../bus.ts';
import type { Endpoint, Frame, Gap, StreamRef } from '../streams/frame.ts';
import type { Conversation } from './conversation.ts';
import type { HttpEvent, HttpInfo, MessageEvent } from './events.ts';
import type { Messages } from './frame-content.ts';
import { reasonOf, textOf } from './frame-content.ts';
import { Hops } from './hops.ts';
import type { ParsedFrame, RpcMessage } from './jsonrpc.ts';
import { methodOf } from './methods.ts';
import { Outbox } from './outbox.ts';
import type { Outcome } from './pairing.ts';
import { serverEvent } from './roles.ts';
import type { StreamControl } from './stream-control.ts';
import { type Told, Unattributed } from './unattributed.ts';

/** Where and when something was seen: a frame, a gap or a step of HTTP. */
export interface Place {
  /** CLOCK_MONOTONIC, nanoseconds. */
  readonly time: number;
  readonly stream: StreamRef;
  readonly offset: number;
  readonly from: Endpoint | undefined;
  readonly to: Endpoint | undefined;
  /** One of them may yet turn out. */
  readonly unattributed?: true;
}

const LATE = { late: true } as const;

/** What an HTTP event says beside place and conversation. */
export type HttpParts = Pick<HttpEvent, 'end' | 'durationMs' | 'size' | 'body' | 'left'>;

export class Reporter {
  readonly #bus: Bus;
  readonly #wall: (time: number) => number;
  readonly #hops = new Hops();
  readonly #outbox = new Outbox();
  readonly #unattributed: Unattributed;
  #seq = 0;

  /** @param wall The wall clock, nanoseconds since the epoch, at a moment of CLOCK_MONOTONIC. */
  constructor(bus: Bus, control: Pick<StreamControl, 'whoAt'>, wall: (time: number) => number) {
    this.#bus = bus;
    this.#unattributed = new Unattributed(control);
    this.#wall = wall;
  }

  /** `key` has something kept back, from `time` on, and may yet show itself to be MCP. */
  hold(key: unknown, time: number): void {
    this.#outbox.hold(key, time);
  }

  /** It is known what `key` is: what was kept back of it is told now, or never. */
  release(key: unknown): void {
    this.#outbox.release(key);
  }

  /** Everything up to `time` has been told. @returns whether something of it still waits to be written. */
  settled(time: number): boolean {
    this.#attribute(time);
    return this.#outbox.settled(time);
  }

  /** No more comes. */
  finish(): void {
    this.#outbox.finish();
  }

  /** Tells whose the messages were that were told without: at once, not in the order of what is on its way. */
  #attribute(time: number): void {
    for (const { seq: message, method, id, connection, stream, from, to } of this.#unattributed.take()) {
      if (to) this.#hops.read(message, to.pid);
      const at = this.#wall(time);
      this.#bus.emit('ends', { kind: 'ends', time: at, message, method, id, connection, stream, from, to });
    }
  }

  message(
    place: Place,
    size: number,
    conversation: Conversation,
    message: RpcMessage,
    outcome: Outcome,
    batch: MessageEvent['batch'],
    http?: HttpInfo,
  ): void {
    const { method, target, status, durationMs, error, warnings } = outcome;
    const { wire } = message;
    const known = method === undefined ? undefined : methodOf(method);
    const seen = this.#seen(place, conversation, http);
    const foreign = conversation.nature !== 'mcp';
    // Whoever passes a message on has read it by then.
    this.#attribute(place.time);
    this.#outbox.put(place.time, size, (late) => {
      const seq = ++this.#seq;
      const event: MessageEvent = {
        kind: 'message',
        seq,
        ...seen,
        ...(late && LATE),
        type: message.type,
        id: message.id,
        method,
        known: method === undefined ? undefined : known !== undefined,
        description: known?.description,
        target,
        status,
        durationMs,
        error,
        params: wire ? undefined : message.member('params'),
        result: wire ? undefined : message.member('result'),
        errorText: wire ? undefined : message.member('error'),
        batch,
        hop: this.#hops.note(
          seq,
          {
            connection: conversation.connection,
            writer: place.from?.pid,
            reader: place.to?.pid,
            unread: place.unattributed,
          },
          wire?.bytes ?? message.raw,
          message,
          http !== undefined,
        ),
        foreign,
        warnings,
        raw: wire ? '' : message.raw,
        size: batch ? Buffer.byteLength(message.raw) : size,
      };
      this.#bus.emit('message', wire ? asBytes(event, message) : event);
      this.#noteEnds(place, event);
    });
  }

  /** A frame that is no JSON-RPC. */
  /** @param text Instead of the frame's own. */
  notRpc(
    frame: Frame,
    conversation: Conversation,
    parsed: ParsedFrame | undefined,
    http?: HttpInfo,
    text = textOf(frame),
  ): void {
    const { content, size } = frame;
    const base64 = content.type === 'binary' ? content.bytes.toString('base64') : undefined;
    this.invalid(frame, conversation, reasonOf(frame, parsed), text, size, http, base64);
  }

  /** @param size Bytes on the wire. */
  invalid(
    place: Place,
    conversation: Conversation,
    reason: string,
    raw: string | undefined,
    size: number,
    http?: HttpInfo,
    rawBase64?: string,
  ): void {
    const seen = this.#seen(place, conversation, http);
    this.#tell(place, size, (seq, late) => {
      this.#bus.emit('invalid', { kind: 'invalid', seq, ...seen, ...late, reason, size, raw, rawBase64 });
      this.#noteEnds(place, { seq, ...seen });
    });
  }

  #noteEnds({ unattributed, time, from, to }: Place, told: Omit<Told, 'time' | 'from' | 'to'>): void {
    if (!unattributed) return;
    const { seq, connection, stream, method, id } = told;
    this.#unattributed.add({ seq, connection, stream, time, from, to, method, id });
  }

  stderr(frame: Frame, conversation: Conversation): void {
    const { content } = frame;
    const text = textOf(frame) ?? (content.type === 'binary' ? content.bytes.toString('utf8') : '');
    const seen = this.#seen(frame, conversation, undefined);
    this.#tell(frame, frame.size, (seq, late) =>
      this.#bus.emit('stderr', { kind: 'stderr', seq, ...seen, ...late, text }),
    );
  }

  gap(gap: Gap, conversation: Conversation, http?: HttpInfo): void {
    const { cause, bytes, frames } = gap;
    const seen = this.#seen(gap, conversation, http);
    this.#tell(gap, 0, (seq, late) =>
      this.#bus.emit('gap', { kind: 'gap', seq, ...seen, ...late, cause, bytes, frames }),
    );
  }

  http(place: Place, conversation: Conversation, http: HttpInfo, parts: HttpParts): void {
    const seen = this.#seen(place, conversation, http);
    this.#tell(place, 0, (seq, late) =>
      this.#bus.emit('http', { kind: 'http', seq, ...seen, ...late, http, ...parts }),
    );
  }

  /** Tells what is known of a conversation's two sides. */
  announce(conversation: Conversation, time: number): void {
    const event = serverEvent(conversation, this.#wall(time));
    this.#outbox.put(time, 0, () => this.#bus.emit('server', event));
  }

  /** In its time; it is numbered when it is written. */
  #tell({ time }: Place, size: number, tell: (seq: number, late: object) => void): void {
    this.#outbox.put(time, size, (late) => tell(++this.#seq, late ? LATE : {}));
  }

  #seen(place: Place, conversation: Conversation, http: HttpInfo | undefined) {
    const seen = {
      time: this.#wall(place.time),
      transport: http ? ('http' as const) : ('stdio' as const),
      connection: conversation.connection,
      stream: place.stream.id,
      offset: place.offset,
      from: place.from,
      to: place.to,
    };
    return http ? { ...seen, http } : seen;
  }
}

/** Calls back with each message and each invalid element of a frame, in their order. */
export function eachElement(
  parsed: Messages,
  onMessage: (message: RpcMessage, batch: MessageEvent['batch']) => void,
  onInvalid: (reason: string, raw: string) => void,
): void {
  const { messages, invalid } = parsed;
  const size = messages.length + invalid.length;
  let next = 0;
  let wrong = 0;
  for (let index = 0; index < size; index++) {
    const element = invalid[wrong];
    if (element?.index === index) {
      wrong++;
      onInvalid(`batch element ${index + 1}: ${element.reason}`, element.raw);
      continue;
    }
    const message = messages[next++];
    if (message) onMessage(message, parsed.batch ? { index, size } : undefined);
  }
}

/** The same event, with the large parts as bytes and as text only on demand. */
function asBytes(event: MessageEvent, message: RpcMessage): MessageEvent {
  const bytes = {
    params: message.memberBytes('params'),
    result: message.memberBytes('result'),
    error: message.memberBytes('error'),
  };
  return Object.defineProperties(event, {
    raw: { get: () => message.raw, enumerable: true },
    params: { get: () => message.member('params'), enumerable: true },
    result: { get: () => message.member('result'), enumerable: true },
    errorText: { get: () => message.member('error'), enumerable: true },
    wire: { value: { raw: message.wire?.bytes, ...bytes } },
  });
}
