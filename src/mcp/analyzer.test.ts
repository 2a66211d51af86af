// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bus } from '../bus.ts';
import { WireText } from '../protocols/wire-text.ts';
import type { Endpoint, Frame, FrameContent, Gap, StreamItem } from '../streams/frame.ts';
import { Analyzer } from './analyzer.ts';
import type { EndsEvent, GapEvent, InvalidEvent, MessageEvent, ServerEvent, StderrEvent } from './events.ts';
import { PARKED_BYTES } from './parked.ts';

const MS = 1e6;
const SECOND = 1e9;
const CLOCK_OFFSET = 1e12;

function endpoint(pid: number, comm: string): Endpoint {
  return { pid, comm };
}

const CLIENT = endpoint(10, 'client');
const SERVER = endpoint(20, 'server');

/** What the streams would know. */
interface StreamFacts {
  readonly from: Endpoint | undefined;
  to: Endpoint | undefined;
  readonly stderr?: boolean;
  /** The opposite direction of the same socket. */
  readonly pair?: number;
  readonly writers?: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;

const text = (message: Json | readonly Json[]) => JSON.stringify(message);
const request = (id: unknown, method: string, params?: unknown): Json => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
const notification = (method: string, params?: unknown): Json => ({ jsonrpc: '2.0', method, params });
const result = (id: unknown, value: unknown = {}): Json => ({ jsonrpc: '2.0', id, result: value });
const failure = (id: unknown, code: number, message: string): Json => ({
  jsonrpc: '2.0',
  id,
  error: { code, message },
});

const INITIALIZE = request(0, 'initialize', {
  protocolVersion: '2025-06-18',
  clientInfo: { name: 'Client', version: '1' },
});
const INITIALIZED = result(0, {
  protocolVersion: '2025-06-18',
  serverInfo: { name: 'Server', version: '2' },
});

type AnyEvent = MessageEvent | InvalidEvent | StderrEvent | GapEvent;

/** An analyzer on streams that are as `facts` says, by id. */
function analyzing(facts: Readonly<Record<number, StreamFacts>>, allJsonRpc = false, parents: Json = {}) {
  const bus = new Bus();
  const events: AnyEvent[] = [];
  const servers: ServerEvent[] = [];
  const ends: EndsEvent[] = [];
  bus.on('message', (event) => events.push(event));
  bus.on('invalid', (event) => events.push(event));
  bus.on('stderr', (event) => events.push(event));
  bus.on('gap', (event) => events.push(event));
  bus.on('server', (event) => servers.push(event));
  bus.on('ends', (event) => ends.push(event));

  const streams = new Map(Object.entries(facts).map(([id, each]) => [Number(id), each]));
  const control: string[] = [];
  const descends = (pid: number, ancestor: number): boolean => {
    const parent = parents[pid];
    return pid === ancestor || (typeof parent === 'number' && descends(parent, ancestor));
  };
  const analyzer = new Analyzer(
    bus,
    {
      keep: (stream) => void control.push(`keep ${stream}`),
      stop: (stream) => void control.push(`stop ${stream}`),
      encrypts: () => false,
      keepFrom: (pid) => void control.push(`keep from ${pid}`),
      isStderr: (stream) => streams.get(stream)?.stderr ?? false,
      pairOf: (stream) => streams.get(stream)?.pair ?? 0,
      whoAt: (stream, end) => streams.get(stream)?.[end === 'writer' ? 'from' : 'to'],
      writersOf: (stream) => {
        const { from, writers } = streams.get(stream) ?? {};
        return writers ?? (from ? [from.pid] : []);
      },
      isStdout: (stream, writer, reader) =>
        streams.get(stream)?.from?.pid === writer && streams.get(stream)?.to?.pid === reader,
      descends,
    },
    { allJsonRpc, wall: (time) => time + CLOCK_OFFSET },
  );

  let now = 0;
  const place = (stream: number) => {
    const { from, to } = streams.get(stream) ?? {};
    return { stream: { id: stream, carrier: 'pipe' as const }, offset: 0, from, to };
  };
  /** What waits for its order is told at once: `outbox.test.ts` is about that. */
  const put = (item: StreamItem) => {
    analyzer.item(item);
    analyzer.finish();
  };
  const content = (stream: number, what: FrameContent, size = 1, more: Partial<Frame> = {}) => {
    now += MS;
    put({ kind: 'frame', time: now, size, content: what, ...place(stream), ...more });
  };
  /** A frame with this text, a millisecond after the one before. */
  const line = (stream: number, words: string, more: Partial<Frame> = {}) =>
    content(stream, { type: 'text', text: words }, Buffer.byteLength(words), more);
  const say = (stream: number, message: Json | readonly Json[], more: Partial<Frame> = {}) =>
    line(stream, text(message), more);
  const gap = (stream: number, more: Partial<Gap> = {}) => {
    now += MS;
    put({ kind: 'gap', time: now, bytes: 100, frames: 2, cause: 'ring-full', ...place(stream), ...more });
  };
  const end = (stream: number) =>
    put({ kind: 'end', time: now, stream: { id: stream, carrier: 'pipe' as const } });

  const messages = () => events.filter((event): event is MessageEvent => event.kind === 'message');
  const invalids = () => events.filter((event): event is InvalidEvent => event.kind === 'invalid');
  const stderrs = () => events.filter((event): event is StderrEvent => event.kind === 'stderr');
  /** Each event in a few words: what it is, and what of. */
  const short = () =>
    events.map((event) => {
      if (event.kind === 'message')
        return `${event.type} ${event.method ?? '?'}${event.id ? ` ${event.id.text}` : ''}`;
      if (event.kind === 'invalid') return `invalid ${event.raw}`;
      return event.kind === 'stderr' ? `stderr ${event.text}` : `gap ${event.bytes}`;
    });
  const last = (): MessageEvent => {
    const event = messages().at(-1);
    assert.ok(event);
    return event;
  };
  return {
    ...{ events, servers, ends, control, streams, content, line, say, gap, end, put },
    settled: (time: number) => analyzer.settled(time),
    ...{ messages, invalids, stderrs, short, last },
  };
}

/** One client, one server, two pipes: 1 there, 2 back, 3 the server's standard error. */
const PAIR: Readonly<Record<number, StreamFacts>> = {
  1: { from: CLIENT, to: SERVER },
  2: { from: SERVER, to: CLIENT },
  3: { from: SERVER, to: CLIENT, stderr: true },
};

/** The same, after the handshake; what came of it is forgotten. */
function introduced(facts = PAIR, parents: Json = {}) {
  const own = analyzing(facts, false, parents);
  own.say(1, INITIALIZE);
  own.say(2, INITIALIZED);
  own.events.length = 0;
  return own;
}

describe('a message that was told before anybody had read it', () => {
  const told = { to: undefined, unattributed: true } as const;

  function unread() {
    const own = introduced({ ...PAIR, 1: { from: CLIENT, to: undefined } });
    const turnsOut = () => {
      const stream = own.streams.get(1);
      assert.ok(stream);
      stream.to = SERVER;
    };
    return { ...own, turnsOut };
  }

  test('gets its reader when that turns out, once', () => {
    const { say, line, settled, ends, events, turnsOut } = unread();
    say(1, request(1, 'ping'), told);
    line(1, 'no message', told);
    settled(1 * SECOND);
    assert.deepEqual(ends, []);
    turnsOut();
    settled(2 * SECOND);
    settled(3 * SECOND);
    const [ping, noise] = events;
    const common = { kind: 'ends', time: CLOCK_OFFSET + 2 * SECOND, connection: 1, stream: 1 };
    assert.deepEqual(ends, [
      { ...common, message: ping?.seq, method: 'ping', id: { text: '1' }, from: CLIENT, to: SERVER },
      { ...common, message: noise?.seq, method: undefined, id: undefined, from: CLIENT, to: SERVER },
    ]);
  });

  test('gets it before anything that its reader says', () => {
    const { say, ends, turnsOut } = unread();
    say(1, request(1, 'ping'), told);
    turnsOut();
    say(2, result(1));
    assert.equal(ends.length, 1);
  });

  test('is no trouble where nobody ever turns out', () => {
    const { say, settled, ends, turnsOut } = unread();
    for (let id = 1; id <= 1000; id++) say(1, request(id, 'ping'), told);
    turnsOut();
    settled(2 * SECOND);
    assert.deepEqual([ends.length, ends[0]?.id?.text, ends.at(-1)?.id?.text], [256, '745', '1000']);
  });
});

describe('a message', () => {
  test('says everything that is known of it', () => {
    const { say, events } = analyzing(PAIR);
    const call = request(1, 'tools/call', { name: 'echo', arguments: {} });
    say(1, call, { offset: 77, time: 5 * MS });
    assert.deepEqual(events, [
      {
        kind: 'message',
        seq: 1,
        time: CLOCK_OFFSET + 5 * MS,
        transport: 'stdio',
        connection: 1,
        stream: 1,
        offset: 77,
        from: CLIENT,
        to: SERVER,
        type: 'request',
        id: { text: '1' },
        method: 'tools/call',
        known: true,
        description: 'Execute a tool',
        target: 'echo',
        status: 'pending',
        durationMs: undefined,
        error: undefined,
        params: '{"name":"echo","arguments":{}}',
        result: undefined,
        errorText: undefined,
        batch: undefined,
        hop: undefined,
        foreign: false,
        warnings: [],
        raw: text(call),
        size: text(call).length,
      },
    ]);
  });

  test('is numbered in the order of output, whatever its kind', () => {
    const { say, line, gap, events } = introduced();
    say(1, request(1, 'ping'));
    line(2, 'stray');
    gap(1);
    line(3, 'log');
    assert.deepEqual(
      events.map(({ seq }) => seq),
      [3, 4, 5, 6],
    );
  });

  test('of an unknown method is shown, and marked', () => {
    const { say, last } = introduced();
    say(1, request(1, 'acme/special', { name: 'x' }));
    assert.equal(last().known, false);
    assert.equal(last().description, undefined);
    say(2, result(1));
    assert.equal(last().method, 'acme/special');
    assert.equal(last().known, false);
  });

  test('keeps its text and that of its parts exactly', () => {
    const { line, last } = introduced();
    const raw =
      '{"id": 12345678901234567890 ,"params":{"b":1.0,"a":1e400,"a":"\\u0000"},"method":"x/y","jsonrpc":"2.0"}';
    line(1, raw);
    assert.equal(last().raw, raw);
    assert.equal(last().id?.text, '12345678901234567890');
    assert.equal(last().params, '{"b":1.0,"a":1e400,"a":"\\u0000"}');
    assert.deepEqual(last().warnings, ['"id" is beyond 2^53']);
  });

  test('that is large is the same, with bytes where one wants them', () => {
    const { content, say, last } = introduced();
    say(1, request(1, 'tools/call', { name: 'big' }));
    const raw = text(result(1, { content: [{ type: 'text', text: 'é'.repeat(100_000) }], isError: true }));
    const bytes = Buffer.from(raw);
    content(2, new WireText(bytes), bytes.length);
    assert.equal(last().type, 'response');
    assert.equal(last().status, 'tool_error');
    assert.equal(last().target, 'big');
    assert.equal(last().size, bytes.length);
    assert.equal(last().raw, raw);
    assert.equal(last().result, text(JSON.parse(raw).result));
    assert.deepEqual(last().wire?.raw, bytes);
    assert.equal(last().wire?.result?.toString(), last().result);
  });

  test('of hostile content hurts nobody', () => {
    const { line, messages } = introduced();
    line(1, '{"jsonrpc":"2.0","id":1,"method":"__proto__","params":{"__proto__":{"name":1}}}');
    line(1, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":${'['.repeat(5000)}${']'.repeat(5000)}}`);
    line(1, '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":{"toString":1}}}');
    line(1, '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{"x":1}}}');
    assert.equal(messages().length, 4);
    assert.equal(messages()[2]?.target, undefined);
  });
});

describe('a response', () => {
  test('is paired with its request, with the time between them in the kernel', () => {
    const { say, last } = introduced();
    say(1, request('a', 'tools/call', { name: 'echo' }), { time: 100 * MS });
    say(2, result('a'), { time: 112.5 * MS });
    const { method, target, status, durationMs, description } = last();
    assert.deepEqual(
      { method, target, status, durationMs, description },
      { method: 'tools/call', target: 'echo', status: 'ok', durationMs: 12.5, description: 'Execute a tool' },
    );
  });

  test('is an error, or a tool’s error', () => {
    const { say, last } = introduced();
    say(1, request(1, 'resources/read', { uri: 'file://x' }));
    say(2, failure(1, -32002, 'Resource not found'));
    assert.equal(last().status, 'error');
    assert.deepEqual(last().error, { code: -32002, message: 'Resource not found' });
    say(1, request(2, 'tools/call', { name: 'x' }));
    say(2, result(2, { isError: true, content: [] }));
    assert.equal(last().status, 'tool_error');
    assert.equal(last().error, undefined);
  });

  test('is an orphan when nobody asked, and when it has been answered', () => {
    const { say, last } = introduced();
    say(2, result(9));
    assert.equal(last().status, 'orphan');
    assert.equal(last().method, undefined);
    say(1, request(1, 'ping'));
    say(2, result(1));
    say(2, result(1));
    assert.equal(last().status, 'orphan');
  });

  test('of each direction answers the other: both number their requests', () => {
    const { say, messages } = introduced();
    say(1, request(1, 'tools/list'));
    say(2, request(1, 'roots/list'));
    say(1, result(1));
    say(2, result(1));
    assert.deepEqual(
      messages().map(({ method, status }) => `${method} ${status}`),
      ['tools/list pending', 'roots/list pending', 'roots/list ok', 'tools/list ok'],
    );
  });

  test('to a cancelled request is late', () => {
    const { say, messages } = introduced();
    say(1, request(5, 'tools/call', { name: 'slow' }));
    say(1, notification('notifications/cancelled', { requestId: 5, reason: 'bored' }));
    say(2, result(5));
    assert.deepEqual(
      messages().map(({ status }) => status),
      ['pending', 'cancelled', 'late'],
    );
    assert.equal(messages()[1]?.target, '5');
  });

  test('is not late for a cancellation of nothing, of another id or from the other side', () => {
    const { say, messages } = introduced();
    say(1, notification('notifications/cancelled', { requestId: 5 }));
    say(1, request(5, 'tools/call', { name: 'slow' }));
    say(1, notification('notifications/cancelled', { requestId: '5' }));
    say(2, notification('notifications/cancelled', { requestId: 5 }));
    say(1, notification('notifications/cancelled'));
    say(2, result(5));
    assert.deepEqual(
      messages().map(({ status }) => status),
      [undefined, 'pending', undefined, undefined, undefined, 'ok'],
    );
  });

  test('after a request whose id was still open belongs to the later one, which is marked', () => {
    const { say, messages } = introduced();
    say(1, request(1, 'tools/list'));
    say(1, request(1, 'prompts/list'));
    say(2, result(1));
    assert.deepEqual(messages()[1]?.warnings, ['the id of a request that is still open']);
    assert.equal(messages()[2]?.method, 'prompts/list');
  });
});

describe('a notification', () => {
  test('has a method, and neither id nor status nor duration', () => {
    const { say, last } = introduced();
    say(2, notification('notifications/progress', { progressToken: 'p', progress: 1 }));
    const { type, id, method, target, status, durationMs } = last();
    assert.deepEqual(
      { type, id, method, target, status, durationMs },
      {
        type: 'notification',
        id: undefined,
        method: 'notifications/progress',
        target: 'p',
        status: undefined,
        durationMs: undefined,
      },
    );
  });
});

describe('a batch', () => {
  test('is its messages, each with its place and its own text', () => {
    const { say, messages } = introduced();
    say(1, [request(1, 'tools/list'), notification('notifications/initialized'), request(2, 'ping')]);
    say(2, [result(2), result(1)]);
    assert.deepEqual(
      messages().map(({ method, batch, status }) => `${method} ${batch?.index}/${batch?.size} ${status}`),
      [
        'tools/list 0/3 pending',
        'notifications/initialized 1/3 undefined',
        'ping 2/3 pending',
        'ping 0/2 ok',
        'tools/list 1/2 ok',
      ],
    );
    assert.equal(messages()[0]?.raw, text(request(1, 'tools/list')));
    assert.equal(messages()[0]?.size, text(request(1, 'tools/list')).length);
  });

  test('has its invalid elements among the valid ones', () => {
    const { line, events, short } = introduced();
    line(1, '[{"jsonrpc":"2.0","id":1,"method":"ping"}, 17 ,{"jsonrpc":"2.0","id":2,"method":"ping"}]');
    assert.deepEqual(short(), ['request ping 1', 'invalid 17', 'request ping 2']);
    const [, wrong] = events;
    assert.ok(wrong?.kind === 'invalid');
    assert.equal(wrong.reason, 'batch element 2: a number, not an object');
    assert.equal(wrong.size, 2);
  });
});

describe('a connection', () => {
  test('pairs answers for itself: many servers may use the same ids', () => {
    const facts: Record<number, StreamFacts> = {};
    for (let server = 0; server < 50; server++) {
      const who = endpoint(100 + server, `s${server}`);
      facts[2 * server + 1] = { from: CLIENT, to: who };
      facts[2 * server + 2] = { from: who, to: CLIENT };
    }
    const { say, messages } = analyzing(facts);
    for (let server = 0; server < 50; server++)
      say(2 * server + 1, request(1, 'tools/call', { name: `t${server}` }));
    for (let server = 49; server >= 0; server--) say(2 * server + 2, result(1));
    const answers = messages().slice(50);
    assert.deepEqual(
      answers.map(({ target }) => target),
      Array.from({ length: 50 }, (_, index) => `t${49 - index}`),
    );
    assert.equal(new Set(answers.map(({ connection }) => connection)).size, 50);
  });

  test('of two between the same two processes is told by what it answers', () => {
    const { say, messages } = analyzing({
      1: { from: CLIENT, to: SERVER },
      2: { from: CLIENT, to: SERVER },
      3: { from: SERVER, to: CLIENT },
      4: { from: SERVER, to: CLIENT },
    });
    say(1, request('first', 'tools/list'));
    say(2, request('second', 'prompts/list'));
    say(3, result('second'));
    say(4, result('first'));
    assert.deepEqual(
      messages().map(({ connection, method, status }) => `${connection} ${method} ${status}`),
      ['1 tools/list pending', '2 prompts/list pending', '2 prompts/list ok', '1 tools/list ok'],
    );
  });

  test('over one socket is both its directions, though nobody knows who reads', () => {
    const { say, messages } = analyzing({
      1: { from: CLIENT, to: undefined, pair: 2 },
      2: { from: undefined, to: CLIENT, pair: 1 },
    });
    say(1, request(1, 'tools/list'));
    say(2, result(1));
    assert.deepEqual(
      messages().map(({ connection, status }) => `${connection} ${status}`),
      ['1 pending', '1 ok'],
    );
  });

  test('through a pipeline is joined by the answer: who asks is not who hears', () => {
    const sink = endpoint(30, 'sink');
    const { say, messages } = analyzing({
      1: { from: CLIENT, to: SERVER },
      2: { from: SERVER, to: sink },
    });
    say(1, request(1, 'tools/list'));
    say(2, result(1, { tools: [] }));
    say(2, result(2));
    assert.deepEqual(
      messages().map(({ connection, method, status, to }) => `${connection} ${method} ${status} ${to?.comm}`),
      ['1 tools/list pending server', '1 tools/list ok sink', '1 undefined orphan sink'],
    );
  });

  test('begins anew when its streams have ended', () => {
    const { say, end, messages } = analyzing({
      ...PAIR,
      4: { from: CLIENT, to: SERVER },
      5: { from: SERVER, to: CLIENT },
    });
    say(1, request(1, 'tools/list'));
    say(2, result(1));
    end(1);
    end(2);
    say(4, request(1, 'tools/list'));
    say(5, result(1));
    assert.deepEqual(
      messages().map(({ connection, status }) => `${connection} ${status}`),
      ['1 pending', '1 ok', '2 pending', '2 ok'],
    );
  });

  test('goes on with a server that is started again', () => {
    const again = endpoint(21, 'server');
    const { say, streams, messages, servers } = introduced();
    streams.set(1, { from: CLIENT, to: again });
    streams.set(2, { from: again, to: CLIENT });
    say(1, request(1, 'tools/list'));
    say(2, result(1));
    assert.deepEqual(
      messages().map(({ connection, status, to }) => `${connection} ${status} ${to?.pid}`),
      ['1 pending 21', '1 ok 10'],
    );
    assert.equal(servers.at(-1)?.connection, 1);
  });
});

describe('what is MCP', () => {
  test('is shown from its first message on, though it became clear later', () => {
    const { say, line, gap, short, control } = analyzing(PAIR);
    say(1, request(1, 'ping'));
    line(2, 'Server ready');
    gap(1);
    say(2, result(1));
    assert.deepEqual(short(), []);
    say(1, request(2, 'tools/list'));
    assert.deepEqual(short(), [
      'request ping 1',
      'invalid Server ready',
      'gap 100',
      'response ping 1',
      'request tools/list 2',
    ]);
    assert.ok(control.includes('keep 1'));
    assert.ok(control.includes('keep 2'));
  });

  test('is what `_meta` of 2026-07-28 says, without `initialize`', () => {
    const { say, short, servers } = analyzing(PAIR);
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'New', version: '3' },
    };
    say(1, request(1, 'acme/x', { _meta: meta }));
    say(2, result(1, { _meta: { 'io.modelcontextprotocol/serverInfo': { name: 'Newer', version: '4' } } }));
    assert.deepEqual(short(), ['request acme/x 1', 'response acme/x 1']);
    const known = servers.at(-1);
    assert.equal(known?.protocolVersion, '2026-07-28');
    assert.equal(known?.client?.name, 'New');
    assert.equal(known?.server?.name, 'Newer');
    assert.equal(known?.server?.version, '4');
  });

  test('is not JSON-RPC of another protocol, nor JSON, nor text', () => {
    const { say, line, events } = analyzing(PAIR);
    say(1, request(1, 'initialize', { processId: 1, capabilities: {} }));
    say(2, result(1, { capabilities: {} }));
    say(1, request(2, 'textDocument/hover'));
    line(2, '{"level":"info"}');
    line(2, 'hello');
    assert.deepEqual(events, []);
  });

  test('is with the others when all JSON-RPC is wanted, and these are marked', () => {
    const { say, line, messages, short } = analyzing(PAIR, true);
    say(1, request(1, 'textDocument/hover'));
    say(2, result(1));
    line(2, '{"level":"info"}');
    assert.deepEqual(short(), ['request textDocument/hover 1', 'response textDocument/hover 1']);
    assert.deepEqual(
      messages().map(({ foreign }) => foreign),
      [true, true],
    );
    say(1, request(2, 'tools/list'));
    assert.equal(messages().at(-1)?.foreign, false);
  });
});

describe('a stream that has not shown itself to be MCP', () => {
  test('is given up after so many bytes, and the kernel told', () => {
    const { line, control } = analyzing(PAIR);
    const size = 1000;
    for (let sent = 0; sent <= PARKED_BYTES; sent += size) line(1, 'x'.repeat(size));
    assert.deepEqual(control, ['stop 1']);
  });

  test('is given up after so many bytes of foreign JSON-RPC, too', () => {
    const { say, control, events } = analyzing(PAIR);
    for (let id = 0; id < 3000; id++) say(1, request(id, 'eth_call'));
    assert.deepEqual([...new Set(control)], ['stop 1']);
    assert.deepEqual(events, []);
  });

  test('and was given up is MCP all the same once it says so', () => {
    const { say, short, control } = analyzing(PAIR);
    for (let id = 0; id < 3000; id++) say(1, request(id, 'eth_call'));
    say(1, INITIALIZE);
    assert.equal(short().at(-1), 'request initialize 0');
    assert.ok(control.lastIndexOf('keep 1') > control.lastIndexOf('stop 1'));
  });

  test('and is MCP after all has a gap where it was given up', () => {
    const { line, say, short, events } = analyzing(PAIR);
    const size = 1000;
    let sent = 0;
    for (; sent <= PARKED_BYTES; sent += size) line(1, 'x'.repeat(size));
    say(1, INITIALIZE);
    assert.deepEqual(short(), [`gap ${sent}`, 'request initialize 0']);
    const [gap] = events;
    assert.ok(gap?.kind === 'gap');
    assert.deepEqual([gap.frames, gap.cause], [sent / size, 'stopped']);
  });

  test('because losses have cut all that has come of it is not given up', () => {
    const { content, gap, say, short, control } = analyzing(PAIR);
    for (let count = 0; count < 3000; count++) {
      content(1, { type: 'incomplete', head: '{"json', reason: 'gap' }, 1000);
      gap(1);
    }
    say(1, INITIALIZE);
    assert.equal(short().at(-1), 'request initialize 0');
    assert.equal(short().filter((each) => each === 'gap 100').length, 3000);
    assert.ok(!control.includes('stop 1'));
  });

  test('takes no memory any more when it has ended', () => {
    const { line, say, end, short } = analyzing(PAIR);
    line(1, 'before');
    end(1);
    say(1, INITIALIZE);
    assert.deepEqual(short(), ['request initialize 0']);
  });
});

describe('what is no JSON-RPC on an MCP stream', () => {
  test('is shown as invalid, with its reason, and costs nothing that follows', () => {
    const { line, content, say, invalids, last } = introduced();
    line(2, 'Debug: \u001b[31m');
    line(2, '{"jsonrpc":"1.0","id":1}');
    content(2, { type: 'binary', bytes: Buffer.from([0xff, 0xfe]) }, 2);
    content(2, { type: 'oversize', head: '{"jsonrpc"' }, 1e9);
    for (const reason of ['end', 'gap', 'stop'] as const)
      content(2, { type: 'incomplete', head: '{"json', reason }, 6);
    assert.deepEqual(
      invalids().map(({ reason }) => reason),
      [
        'not JSON: does not begin like JSON',
        'not JSON-RPC: "jsonrpc" is "1.0", not "2.0"',
        'not UTF-8',
        'larger than --max-message',
        'cut off by the end of the stream',
        'cut off by a gap',
        'not complete when the capture stopped',
      ],
    );
    assert.equal(invalids()[0]?.raw, 'Debug: \u001b[31m');
    assert.equal(invalids()[2]?.raw, undefined);
    assert.equal(invalids()[2]?.rawBase64, '//4=');
    assert.equal(invalids()[3]?.size, 1e9);
    say(1, request(1, 'tools/list'));
    say(2, result(1));
    assert.equal(last().status, 'ok');
  });

  test('is shown, too, when the server printed it before its first answer', () => {
    const { say, line, short } = analyzing(PAIR);
    line(2, 'Starting…');
    say(1, INITIALIZE);
    line(2, 'Started');
    say(2, INITIALIZED);
    assert.deepEqual(short(), [
      'invalid Starting…',
      'request initialize 0',
      'invalid Started',
      'response initialize 0',
    ]);
  });

  test('is nothing when another process printed it', () => {
    const { say, line, short } = analyzing({ ...PAIR, 4: { from: endpoint(99, 'other'), to: CLIENT } });
    line(4, 'hello');
    say(1, INITIALIZE);
    line(4, 'hello');
    assert.deepEqual(short(), ['request initialize 0']);
  });
});

describe('the standard error of a server', () => {
  test('is shown line by line, as its own kind', () => {
    const { line, content, stderrs } = introduced();
    line(3, 'Listening');
    line(3, text(request(1, 'tools/list')));
    content(3, { type: 'binary', bytes: Buffer.from('a\xffb', 'latin1') }, 3);
    content(3, { type: 'incomplete', head: 'no newline', reason: 'end' }, 10);
    assert.deepEqual(
      stderrs().map((event) => event.text),
      ['Listening', text(request(1, 'tools/list')), 'a\ufffdb', 'no newline'],
    );
    assert.equal(stderrs()[0]?.connection, 1);
    assert.deepEqual(stderrs()[0]?.from, SERVER);
  });

  test('is not lost when the server is known only later', () => {
    const { line, say, short, control } = analyzing(PAIR);
    line(3, 'Starting');
    assert.deepEqual(short(), []);
    say(1, INITIALIZE);
    assert.deepEqual(short(), ['stderr Starting', 'request initialize 0']);
    assert.ok(control.includes('keep 3'));
  });

  test('may be that of the wrapper that started it', () => {
    const wrapper = endpoint(15, 'npx');
    const facts = { ...PAIR, 3: { from: wrapper, to: CLIENT, stderr: true } };
    const { line, stderrs } = introduced(facts, { 20: 15, 15: 10 });
    line(3, 'npm warn');
    assert.equal(stderrs()[0]?.text, 'npm warn');
  });

  test('is not that of the client, nor of whoever started both, nor of a stranger', () => {
    const shell = endpoint(5, 'sh');
    const facts = {
      ...PAIR,
      3: { from: CLIENT, to: shell, stderr: true },
      4: { from: shell, to: undefined, stderr: true },
      5: { from: endpoint(99, 'other'), to: undefined, stderr: true },
    };
    const { line, events } = introduced(facts, { 20: 10, 10: 5 });
    for (const stream of [3, 4, 5]) line(stream, 'noise');
    assert.deepEqual(events, []);
  });

  test('shared by a wrapper and the server belongs to the server', () => {
    const facts = { ...PAIR, 3: { from: endpoint(99, 'x'), to: CLIENT, stderr: true, writers: [99, 20] } };
    const { line, stderrs } = introduced(facts);
    line(3, 'shared');
    assert.equal(stderrs().length, 1);
  });

  test('with a gap shows the gap', () => {
    const { gap, short } = introduced();
    gap(3);
    assert.deepEqual(short(), ['gap 100']);
  });
});

describe('a gap', () => {
  test('on an MCP stream says what is lost, where and why', () => {
    const { gap, events } = introduced();
    gap(2, { offset: 1234, bytes: 9, frames: undefined, cause: 'splice', time: 7 * MS });
    assert.deepEqual(events, [
      {
        kind: 'gap',
        seq: 3,
        time: CLOCK_OFFSET + 7 * MS,
        transport: 'stdio',
        connection: 1,
        stream: 2,
        offset: 1234,
        from: SERVER,
        to: CLIENT,
        cause: 'splice',
        bytes: 9,
        frames: undefined,
      },
    ]);
  });

  test('on a stream that nobody knows waits like everything else', () => {
    const { gap, say, short } = analyzing(PAIR);
    gap(1);
    assert.deepEqual(short(), []);
    say(1, INITIALIZE);
    assert.deepEqual(short(), ['gap 100', 'request initialize 0']);
  });
});

describe('a relay', () => {
  const RELAY = endpoint(15, 'relay');
  const INNER = endpoint(16, 'inner');
  const CHAIN: Readonly<Record<number, StreamFacts>> = {
    1: { from: CLIENT, to: RELAY },
    2: { from: RELAY, to: INNER },
    3: { from: INNER, to: SERVER },
    4: { from: SERVER, to: INNER },
    5: { from: INNER, to: RELAY },
    6: { from: RELAY, to: CLIENT },
  };

  test('shows a message once a hop, and each knows the one before and the first', () => {
    const { say, messages } = analyzing(CHAIN);
    for (const stream of [1, 2, 3]) say(stream, request(1, 'tools/list'));
    for (const stream of [4, 5, 6]) say(stream, result(1));
    assert.deepEqual(
      messages().map(({ connection, hop, status }) => [connection, status, hop]),
      [
        [1, 'pending', undefined],
        [2, 'pending', { number: 2, previous: 1, origin: 1 }],
        [3, 'pending', { number: 3, previous: 2, origin: 1 }],
        [3, 'ok', undefined],
        [2, 'ok', { number: 2, previous: 4, origin: 4 }],
        [1, 'ok', { number: 3, previous: 5, origin: 4 }],
      ],
    );
  });

  test('that changes a message begins a new one', () => {
    const { say, messages } = analyzing(CHAIN);
    say(1, request(1, 'tools/list'));
    say(2, request(101, 'tools/list'));
    assert.deepEqual(
      messages().map(({ hop }) => hop),
      [undefined, undefined],
    );
  });
});

describe('a server', () => {
  test('is introduced by what both say of themselves, and by who they are', () => {
    const { say, servers } = analyzing(PAIR);
    say(1, INITIALIZE);
    say(2, INITIALIZED);
    assert.deepEqual(servers.at(-1), {
      kind: 'server',
      time: CLOCK_OFFSET + 2 * MS,
      connection: 1,
      server: { name: 'Server', version: '2', endpoint: SERVER },
      client: { name: 'Client', version: '1', endpoint: CLIENT },
      protocolVersion: '2025-06-18',
    });
  });

  test('of a connection joined late is known by its processes', () => {
    const { say, servers } = analyzing(PAIR);
    say(2, notification('notifications/tools/list_changed'));
    assert.deepEqual(servers.at(-1)?.server, { name: undefined, version: undefined, endpoint: SERVER });
    assert.deepEqual(servers.at(-1)?.client?.endpoint, CLIENT);
  });

  test('that lies about its name is not believed to have one', () => {
    const { say, servers } = analyzing(PAIR);
    say(1, INITIALIZE);
    say(2, result(0, { protocolVersion: 7, serverInfo: { name: 7, version: {} } }));
    assert.equal(servers.at(-1)?.server?.name, undefined);
    assert.equal(servers.at(-1)?.protocolVersion, undefined);
  });

  test('is worth all its bytes once it is known', () => {
    const { say, control } = analyzing(PAIR);
    say(1, INITIALIZE);
    assert.ok(control.includes('keep from 20'));
  });

  test('is not announced again for every message', () => {
    const { say, servers } = introduced();
    const before = servers.length;
    for (let id = 1; id < 10; id++) {
      say(1, request(id, 'tools/list'));
      say(2, result(id));
    }
    assert.equal(servers.length, before);
  });

  test('that has gone no longer lends its name to its pid', () => {
    const { line, end, events } = introduced({ ...PAIR, 4: { from: SERVER, to: undefined, stderr: true } });
    end(1);
    end(2);
    line(4, 'another process of this pid');
    assert.deepEqual(events, []);
  });
});
