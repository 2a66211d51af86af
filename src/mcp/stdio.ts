// SPDX-License-Identifier: Apache-2.0
/** MCP over streams of lines: a server's pipes, and sockets that carry lines. Each stream is one direction. */
import type { Endpoint, Frame, Gap, StreamItem, StreamRef } from '../streams/frame.ts';
import { Connections, type Ends } from './connections.ts';
import type { StreamConversation } from './conversation.ts';
import type { RpcId, Unseen } from './events.ts';
import { provesMcp } from './evidence.ts';
import { type Messages, parse } from './frame-content.ts';
import type { RpcMessage } from './jsonrpc.ts';
import { methodOf } from './methods.ts';
import { pair } from './pairing.ts';
import { Parked } from './parked.ts';
import { eachElement, type Reporter } from './reporter.ts';
import { introduce } from './roles.ts';
import type { StreamControl } from './stream-control.ts';

export class StdioAnalyzer {
  readonly #reporter: Reporter;
  readonly #control: StreamControl;
  readonly #allJsonRpc: boolean;
  readonly #connections: Connections;
  readonly #parked = new Parked();
  /** Server processes, each with the conversation that made it known. */
  readonly #servers = new Map<number, StreamConversation>();
  /** Stderr streams shown, each with its server's conversation. */
  readonly #stderr = new Map<number, StreamConversation>();

  /** @param number The next connection's number. */
  constructor(reporter: Reporter, control: StreamControl, allJsonRpc: boolean, number: () => number) {
    this.#reporter = reporter;
    this.#control = control;
    this.#allJsonRpc = allJsonRpc;
    const whoNow = (stream: number) => ({
      from: control.whoAt(stream, 'writer', Number.POSITIVE_INFINITY)?.pid,
      to: control.whoAt(stream, 'reader', Number.POSITIVE_INFINITY)?.pid,
    });
    this.#connections = new Connections(whoNow, number);
  }

  item(item: StreamItem): void {
    if (item.kind === 'end') this.ended(item.stream);
    else if (item.kind === 'gap') this.gap(item);
    else if (item.kind === 'frame') this.frame(item);
  }

  frame(frame: Frame): void {
    if (this.#control.isStderr(frame.stream.id)) this.#stderrItem(frame);
    else this.#frame(frame);
  }

  gap(gap: Gap): void {
    if (this.#control.isStderr(gap.stream.id)) {
      this.#stderrItem(gap);
      return;
    }
    const conversation = this.#connections.get(gap.stream.id);
    if (conversation?.nature === 'mcp') this.#reporter.gap(gap, conversation);
    else this.#park(gap);
  }

  ended({ id }: StreamRef): void {
    if (this.#parked.has(id)) this.#drop(id);
    this.#stderr.delete(id);
    const over = this.#connections.end(id);
    // A server that was started again left more than one process behind.
    if (over?.server)
      for (const [pid, conversation] of this.#servers) if (conversation === over) this.#servers.delete(pid);
  }

  /** Streams that were lost as a whole, as far as that is known by now. */
  get unseen(): Unseen {
    return this.#parked.unseen((stream) => !this.#isForeign(stream));
  }

  /** What was kept back of a stream, which turned out to carry something else than lines. */
  surrender(stream: StreamRef): StreamItem[] {
    if (!this.#parked.has(stream.id)) return [];
    this.#reporter.release(stream.id);
    return this.#parked.take([stream.id]);
  }

  // ---- frames -----------------------------------------------------------

  #frame(frame: Frame): void {
    const parsed = parse(frame);
    if (parsed?.type !== 'messages') {
      const conversation = this.#connections.get(frame.stream.id) ?? this.#stdoutOf(frame);
      if (conversation?.nature === 'mcp') this.#reporter.notRpc(frame, conversation, parsed);
      else this.#park(frame);
      return;
    }
    const ends = this.#ends(frame);
    const answered = parsed.messages.find((message) => message.type === 'response' && message.id)?.id;
    let conversation = this.#connections.of(
      ends,
      answered && ((half) => half.expects(answered, ends.stream)),
    );
    conversation = this.#joinByAnswer(conversation, ends, answered);
    if (conversation.nature !== 'mcp' && parsed.messages.some(provesMcp)) this.#recognise(conversation);
    if (conversation.nature === 'mcp' || this.#allJsonRpc) this.#show(frame, conversation, parsed);
    else if (conversation.nature === 'undecided' && !this.#park(frame)) conversation.nature = 'foreign';
  }

  #show(frame: Frame, conversation: StreamConversation, parsed: Messages): void {
    eachElement(
      parsed,
      (message, batch) => {
        const outcome = pair(conversation, message, frame.stream.id, frame.time);
        // Before it is numbered: a server that has just become known brings what was kept back of it.
        this.#learnRoles(frame, conversation, message, outcome.method);
        this.#reporter.message(frame, frame.size, conversation, message, outcome, batch);
      },
      (reason, raw) => this.#reporter.invalid(frame, conversation, reason, raw, Buffer.byteLength(raw)),
    );
  }

  /** The connection has shown itself to be MCP: what was kept back of it comes first. */
  #recognise(conversation: StreamConversation): void {
    conversation.nature = 'mcp';
    for (const stream of conversation.streams) this.#control.keep(stream);
    for (const item of this.#unpark(conversation.streams)) {
      if (item.kind === 'gap') this.#reporter.gap(item, conversation);
      else if (item.kind === 'frame') this.#frame(item);
    }
  }

  /** Stray output of a server that has not answered anything yet still belongs to its conversation. */
  #stdoutOf(frame: Frame): StreamConversation | undefined {
    const conversation = frame.from && this.#servers.get(frame.from.pid);
    const client = conversation?.client;
    if (!client || !frame.from || conversation.streams.length > 1) return undefined;
    if (!this.#control.isStdout(frame.stream.id, frame.from.pid, client.pid)) return undefined;
    return this.#connections.of(this.#ends(frame));
  }

  /** A stream that joins a recognised conversation brings what was kept back of it. */
  #adopt(stream: number, conversation: StreamConversation): void {
    if (conversation.nature !== 'mcp') return;
    this.#control.keep(stream);
    for (const item of this.#unpark([stream])) this.item(item);
  }

  /** @returns whether the stream may still turn out to be MCP. */
  #park(item: StreamItem): boolean {
    const { id } = item.stream;
    if (!this.#parked.has(id)) this.#reporter.hold(id, item.time);
    if (this.#parked.add(item)) return true;
    this.#parked.forgo(id);
    this.#control.stop(id);
    return false;
  }

  #drop(stream: number): void {
    if (this.#isForeign(stream)) this.#parked.drop(stream);
    else this.#parked.letGo(stream);
    this.#reporter.release(stream);
  }

  /** Where the other direction of its socket is none of ours, neither is this one. */
  #isForeign(stream: number): boolean {
    return this.#connections.get(this.#control.pairOf(stream))?.nature === 'foreign';
  }

  /** What was kept back of these streams; who was at its ends may have become known since. */
  #unpark(streams: Iterable<number>): StreamItem[] {
    for (const stream of streams) if (this.#parked.has(stream)) this.#reporter.release(stream);
    return this.#parked.take(streams).map((item) => {
      if (item.kind === 'end' || (item.from && item.to)) return item;
      const { id } = item.stream;
      const from = item.from ?? this.#control.whoAt(id, 'writer', item.time);
      const to = item.to ?? this.#control.whoAt(id, 'reader', item.time);
      return { ...item, from, to };
    });
  }

  #joinByAnswer(conversation: StreamConversation, ends: Ends, id: RpcId | undefined): StreamConversation {
    const known = conversation.streams.length > 1;
    const joined =
      known || !id
        ? conversation
        : this.#connections.joinByAnswer(conversation, ends, (half, stream) => half.expects(id, stream));
    if (joined.nature === 'mcp' && this.#parked.has(ends.stream)) this.#adopt(ends.stream, joined);
    return joined;
  }

  // ---- who is who ---------------------------------------------------------

  /** Which side asks for tools, and what the two call themselves. */
  #learnRoles(
    frame: Frame,
    conversation: StreamConversation,
    message: RpcMessage,
    method: string | undefined,
  ): void {
    const sender = method === undefined ? undefined : methodOf(method)?.sender;
    if (sender === 'client' || sender === 'server') {
      const fromClient = (sender === 'client') !== (message.type === 'response');
      const client = fromClient ? frame.from : frame.to;
      const server = fromClient ? frame.to : frame.from;
      if (client) conversation.client = client;
      if (server && conversation.server?.pid !== server.pid) this.#server(conversation, server, frame.time);
    }
    if (introduce(conversation, message, method)) this.#reporter.announce(conversation, frame.time);
  }

  #server(conversation: StreamConversation, server: Endpoint, time: number): void {
    conversation.server = server;
    if (conversation.nature !== 'mcp') return;
    this.#servers.set(server.pid, conversation);
    this.#control.keepFrom(server.pid);
    this.#releaseParked();
    this.#reporter.announce(conversation, time);
  }

  #ends(frame: Frame): Ends {
    const { id } = frame.stream;
    return { stream: id, pair: this.#control.pairOf(id), from: frame.from?.pid, to: frame.to?.pid };
  }

  // ---- stderr ---------------------------------------------------------------

  #stderrItem(item: Frame | Gap): void {
    const conversation = this.#stderr.get(item.stream.id) ?? this.#claimStderr(item.stream.id);
    if (!conversation) this.#park(item);
    else if (item.kind === 'gap') this.#reporter.gap(item, conversation);
    else this.#reporter.stderr(item, conversation);
  }

  /** Is this the standard error of a server, or of a wrapper that started it? */
  #claimStderr(stream: number): StreamConversation | undefined {
    for (const writer of this.#control.writersOf(stream)) {
      const conversation = this.#serverBehind(writer);
      if (!conversation) continue;
      this.#stderr.set(stream, conversation);
      this.#control.keep(stream);
      return conversation;
    }
    return undefined;
  }

  #serverBehind(writer: number): StreamConversation | undefined {
    const own = this.#servers.get(writer);
    if (own) return own;
    for (const [pid, conversation] of this.#servers) {
      const { client } = conversation;
      if (!this.#control.descends(pid, writer)) continue;
      if (client && this.#control.descends(client.pid, writer)) continue;
      return conversation;
    }
    return undefined;
  }

  /** A server has become known: what it, or its wrapper, said before is shown now. */
  #releaseParked(): void {
    for (const stream of this.#parked.streams()) {
      const stderr = this.#control.isStderr(stream);
      if (stderr ? !this.#claimStderr(stream) : !this.#mayBeStdout(stream)) continue;
      for (const item of this.#unpark([stream])) this.item(item);
    }
  }

  #mayBeStdout(stream: number): boolean {
    for (const writer of this.#control.writersOf(stream)) {
      const client = this.#servers.get(writer)?.client;
      if (client && this.#control.isStdout(stream, writer, client.pid)) return true;
    }
    return false;
  }
}
