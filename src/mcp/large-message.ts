// SPDX-License-Identifier: Apache-2.0
/** A large JSON-RPC message, understood without building what it carries. */
import { objectSpans, partSpans, type Span } from '../protocols/json-bytes.ts';
import type { WireText } from '../protocols/wire-text.ts';
import type { RpcId } from './events.ts';
import { type RpcMessage, typeOf, violation, warningsOf } from './jsonrpc.ts';

/** Members up to this many bytes are parsed; of larger ones only their own small members are. */
const SMALL = 16384;
/** How deep large members are looked into: `result._meta["io.modelcontextprotocol/serverInfo"]` needs two. */
const DEPTH = 2;

/** A message and where its parts lie in the bytes. */
export class LargeMessage implements RpcMessage {
  readonly type: RpcMessage['type'];
  readonly method: string | undefined;
  /** Large strings, objects and arrays in it are replaced by empty ones. */
  readonly value: Readonly<Record<string, unknown>>;
  readonly id: RpcId | undefined;
  readonly warnings: readonly string[];
  readonly wire: WireText;
  readonly #spans: ReadonlyMap<string, Span>;

  private constructor(wire: WireText, spans: ReadonlyMap<string, Span>, value: Record<string, unknown>) {
    this.wire = wire;
    this.#spans = spans;
    this.value = value;
    this.method = value['method'] as string | undefined;
    this.type = typeOf(value);
    const id = this.memberBytes('id');
    this.id = id && value['id'] !== null ? { text: id.toString('utf8') } : undefined;
    this.warnings = warningsOf(this.type, value, []);
  }

  /** `undefined` when the quick look is not enough: then the text has to be parsed. */
  static from(wire: WireText): LargeMessage | undefined {
    const spans = objectSpans(wire.bytes);
    if (!spans) return undefined;
    const value = outline(wire.bytes, spans, DEPTH);
    return value && violation(value) === undefined ? new LargeMessage(wire, spans, value) : undefined;
  }

  get raw(): string {
    return this.wire.text;
  }

  member(name: 'params' | 'result' | 'error'): string | undefined {
    return this.memberBytes(name)?.toString('utf8');
  }

  /** The exact bytes of a member: a view. */
  memberBytes(name: string): Buffer | undefined {
    const span = this.#spans.get(name);
    return span && this.wire.bytes.subarray(span.start, span.end);
  }
}

/** The object with its small members; `undefined` when it has to be parsed after all. */
function outline(
  bytes: Buffer,
  spans: ReadonlyMap<string, Span>,
  depth: number,
): Record<string, unknown> | undefined {
  const value: Record<string, unknown> = Object.create(null);
  for (const [key, { start, end }] of spans) {
    const part = bytes.subarray(start, end);
    if (part.length <= SMALL) {
      value[key] = JSON.parse(part.toString('utf8'));
      continue;
    }
    const first = part[0];
    if (first === 0x22) value[key] = '';
    else if (first === 0x5b) value[key] = [];
    else if (depth === 0) value[key] = {};
    else {
      const inner = partSpans(part);
      const object = inner && outline(part, inner, depth - 1);
      if (!object) return undefined;
      value[key] = object;
    }
  }
  return value;
}
