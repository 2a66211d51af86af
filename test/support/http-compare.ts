// SPDX-License-Identifier: Apache-2.0
/** Whether a capture says of HTTP what the peers say. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { HttpMessage, HttpTruth, Side, Sighting } from './http-truth.ts';
import type { CaptureResult, OutputLine } from './mcpspy.ts';
import { isSlow } from './patience.ts';
import { assertIsPeer, assertOrderly, withEnds } from './truth.ts';

/** One captured line and what it should be. */
export interface HttpMatch {
  readonly line: OutputLine;
  readonly message: HttpMessage;
  readonly sighting: Sighting;
}

/** What was captured of one exchange. */
type Captured = Readonly<Record<Side, readonly OutputLine[]>>;

const SIDES = ['request', 'response'] as const;

function exchangesOf(lines: readonly OutputLine[]): Captured[] {
  const exchanges = new Map<unknown, Record<Side, OutputLine[]>>();
  for (const line of lines) {
    const { exchange, is_request: isRequest } = line.http_transport;
    let captured = exchanges.get(exchange);
    if (!captured) {
      captured = { request: [], response: [] };
      exchanges.set(exchange, captured);
    }
    captured[isRequest ? 'request' : 'response'].push(line);
  }
  return [...exchanges.values()];
}

const digest = (texts: readonly string[]) =>
  createHash('sha1').update(JSON.stringify(texts)).digest('base64').slice(0, 12);
const brief = (text: string) =>
  text.length <= 90 ? text : `${text.slice(0, 60)} … ${text.slice(-20)} (${text.length})`;

/** What both a sighting and a captured exchange show. */
interface Look {
  readonly tls: boolean;
  readonly pids: Readonly<Record<'client' | 'server', number | undefined>>;
  readonly places: Readonly<Record<'client' | 'server', string | undefined>>;
  readonly texts: Readonly<Record<Side, readonly string[]>>;
}

const key = ({ tls, texts }: Look) =>
  `${tls} ${texts.request.length}:${digest(texts.request)} ${texts.response.length}:${digest(texts.response)}`;

const describe = ({ tls, pids, places, texts }: Look) =>
  [
    `${tls ? 'TLS' : 'clear'} ${pids.client} (${places.client}) > ${pids.server} (${places.server})`,
    ...SIDES.flatMap((side) => [
      ...texts[side].slice(0, 5).map((text) => `  ${side} ${brief(text)}`),
      ...(texts[side].length > 5 ? [`  ${side} … ${texts[side].length} in all`] : []),
    ]),
  ].join('\n');

const side = (messages: readonly HttpMessage[], which: Side) =>
  messages.filter((message) => message.side === which);

function lookOfSighting({ tls, client, server, ends, messages }: Sighting): Look {
  const texts = (which: Side) => side(messages, which).map(({ text }) => text);
  return {
    tls,
    pids: { client: ends.client?.pid, server: ends.server?.pid },
    places: { client, server },
    texts: { request: texts('request'), response: texts('response') },
  };
}

function lookOfCaptured({ request, response }: Captured): Look {
  const raws = (lines: readonly OutputLine[]) => lines.map(({ raw }) => raw);
  const first = <T>(values: readonly (T | undefined)[]) => values.find((value) => value !== undefined);
  const places = [...request, ...response].map((line) => endsOf(line['http_transport'], line));
  return {
    tls: (request[0] ?? response[0])?.['http_transport'].tls !== undefined,
    pids: {
      client: first([...request.map(({ from }) => from?.pid), ...response.map(({ to }) => to?.pid)]),
      server: first([...request.map(({ to }) => to?.pid), ...response.map(({ from }) => from?.pid)]),
    },
    places: {
      client: first(places.map(([client]) => client)),
      server: first(places.map(([, server]) => server)),
    },
    texts: { request: raws(request), response: raws(response) },
  };
}

/** Nothing that both know differs. */
function agree(a: Look, b: Look): boolean {
  return (['pids', 'places'] as const).every((what) =>
    (['client', 'server'] as const).every(
      (end) => a[what][end] === undefined || b[what][end] === undefined || a[what][end] === b[what][end],
    ),
  );
}

/**
 * The capture holds exactly these exchanges with these messages: each once, byte for byte, in order within the
 * exchange, at the right process, and never before what its sender had to know; and every line says of HTTP what
 * the peers say.
 */
export function assertExchanges(lines: readonly OutputLine[], sightings: readonly Sighting[]): HttpMatch[] {
  const wanted = sightings.filter(({ messages }) => messages.length > 0);
  const captured = exchangesOf(lines);
  const looks = captured.map((exchange) => ({ exchange, look: lookOfCaptured(exchange) }));
  const byKey = Map.groupBy(looks, ({ look }) => key(look));
  const missing: string[] = [];
  const matches: HttpMatch[] = [];
  for (const sighting of wanted) {
    const look = lookOfSighting(sighting);
    const same = byKey.get(key(look)) ?? [];
    // Several may say the same.
    const at = same.findIndex((each) => agree(look, each.look));
    const exchange = at < 0 ? undefined : same.splice(at, 1)[0]?.exchange;
    if (!exchange) missing.push(describe(look));
    else
      for (const which of SIDES)
        for (const [index, message] of side(sighting.messages, which).entries()) {
          const line = exchange[which][index];
          if (line) matches.push({ line, message, sighting });
        }
  }
  const surplus = [...byKey.values()].flat().map((each) => describe(each.look));
  if (missing.length || surplus.length)
    assert.fail(
      `${wanted.length} exchanges, ${captured.length} captured; ${missing.length} not captured:\n` +
        `${missing.slice(0, 8).join('\n')}\n${surplus.length} captured and not there:\n${surplus.slice(0, 8).join('\n')}`,
    );
  const known = new Set<string>();
  for (const match of matches) assertHttp(match, known);
  assertCausal(matches);
  return matches;
}

/** The addresses of client and server by a captured line. */
function endsOf(http: OutputLine, line: OutputLine | undefined): (string | undefined)[] {
  const writes = line?.from?.pid === http['pid'];
  const atClient = writes === http['is_request'];
  const { local, remote } = http;
  return atClient ? [local, remote] : [remote, local];
}

/** @param known Pairs of processes that were found right before: looking up paths costs. */
function assertHttp({ line, message, sighting }: HttpMatch, known: Set<string>): void {
  const { http_transport: http } = line;
  const what = brief(message.text);
  assert.equal(line.kind, 'message', what);
  assert.equal(line.transport_type, 'http', what);
  assert.equal(http.is_request, message.side === 'request', what);
  assert.equal(http.form, message.form, what);
  assert.equal(http.event_id, message.side === 'request' ? undefined : message.eventId, what);
  assertHead(http, message, sighting, what);
  const version = sighting.headers['mcp-protocol-version'];
  if (version && !sighting.joined) assert.equal(http.protocol_version, version, what);
  const [from, to] =
    message.side === 'request' ? (['client', 'server'] as const) : (['server', 'client'] as const);
  const ends = {
    client: line[from === 'client' ? 'from' : 'to'],
    server: line[to === 'server' ? 'to' : 'from'],
  };
  const pair = JSON.stringify([ends, sighting.ends, sighting.tls]);
  if (!known.has(pair)) {
    for (const end of ['client', 'server'] as const) {
      const peer = sighting.ends[end];
      // Inside TLS only the end where it was read is sure to be known.
      if (peer && (ends[end] || !sighting.tls)) assertIsPeer(ends[end], peer, `${end} of ${what}`);
    }
    known.add(pair);
  }
  const seer = line['from'] ?? line['to'];
  assert.ok(seer, `nobody is known of ${what}`);
  assert.deepEqual([http.pid, http.comm], [seer.pid, seer.comm], what);
  const [client, server] = endsOf(http, line);
  const places = [sighting.client, sighting.server];
  // Inside TLS what is not known is absent; what is there is right.
  if (!sighting.tls) assert.deepEqual([client, server], places, what);
  else
    assert.deepEqual(
      [client ?? places[0], server ?? places[1]],
      [places[0] ?? client, places[1] ?? server],
      what,
    );
}

function assertHead(http: OutputLine, message: HttpMessage, sighting: Sighting, what: string): void {
  const wanted = {
    method: sighting.method,
    // Sessions in the query are masked.
    path: sighting.path.split('?')[0],
    host: sighting.headers['host'] ?? http['host'],
    status: message.side === 'request' ? undefined : sighting.status,
  };
  const shown: OutputLine = { ...http, path: http['path']?.split('?')[0] };
  for (const [name, value] of Object.entries(wanted))
    if (!sighting.joined || shown[name] !== undefined) assert.equal(shown[name], value, `${name} of ${what}`);
}

/** What had been received before something was sent stands before it. */
function assertCausal(matches: readonly HttpMatch[]): void {
  const received = matches
    .filter(({ message }) => message.received !== undefined)
    .sort((a, b) => (a.message.received ?? 0) - (b.message.received ?? 0));
  const sent = matches
    .filter(({ message }) => message.sent !== undefined)
    .sort((a, b) => (a.message.sent ?? 0) - (b.message.sent ?? 0));
  let index = 0;
  let last: HttpMatch | undefined;
  for (const later of sent) {
    for (; (received[index]?.message.received ?? Infinity) < (later.message.sent ?? 0); index++)
      if (!last || (received[index]?.line.seq ?? 0) > last.line.seq) last = received[index];
    if (last && last.line.seq > later.line.seq)
      assert.fail(
        `${brief(last.message.text)} had come before ${brief(later.message.text)} was sent, and is shown after it`,
      );
  }
}

/** Every response names its request's method and target and has its outcome; every request is pending. */
export function assertAnswered(matches: readonly HttpMatch[]): void {
  const open = new Map<string, HttpMatch[]>();
  const ends = ({ sighting: { ends } }: HttpMatch) => `${ends.client?.pid} ${ends.server?.pid}`;
  for (const match of [...matches].sort((a, b) => a.line.seq - b.line.seq)) {
    const { line, message, sighting } = match;
    const parsed = JSON.parse(message.text);
    const asks = 'method' in parsed;
    const asker = asks === (message.side === 'request') ? 'client' : 'server';
    const id = `${ends(match)} ${asker} ${JSON.stringify(parsed.id)}`;
    if (asks && 'id' in parsed) {
      assert.deepEqual([line.type, line.status], ['request', 'pending']);
      open.set(id, [...(open.get(id) ?? []), match]);
    } else if (asks) assert.equal(line.type, 'notification');
    // An error without an id: nothing that was sent could be understood.
    else if (parsed.id === null) assert.equal(line.type, 'response');
    else {
      const asked = open.get(id) ?? [];
      // The same id may be open in several sessions; in one exchange it is open once.
      const at = Math.max(
        asked.findIndex((each) => each.sighting === sighting),
        0,
      );
      const [request] = asked.splice(at, 1);
      assert.ok(request, `no request before its response: ${brief(message.text)}`);
      const status = parsed.error ? 'error' : parsed.result.isError ? 'tool_error' : 'ok';
      assert.deepEqual(
        [line.type, line.method, line.target, line.status],
        ['response', request.line.method, request.line.target, status],
        brief(message.text),
      );
      assert.ok(line.duration_ms >= 0, brief(message.text));
    }
  }
  assert.deepEqual(
    [...open.values()].flat().map(({ message }) => brief(message.text)),
    [],
    'not answered',
  );
}

/** All of the above for a capture that ran well; nothing lost, and the whole file as the schema says. */
export function assertFaithfulHttp(
  capture: CaptureResult,
  truth: HttpTruth,
  sightings = truth.sightings(),
): HttpMatch[] {
  assert.equal(capture.code, 0, capture.stderr);
  if (!isSlow)
    assert.deepEqual(
      capture.lines.filter(({ kind }) => kind === 'ends'),
      [],
    );
  const lines = withEnds(capture.lines).filter(({ transport_type: type }) => type === 'http');
  const matches = assertExchanges(lines, sightings);
  assertOrderly(capture);
  assertAnswered(matches);
  return matches;
}

/**
 * Each of these texts is on so many lines, in hops: the second names the first, the third the second.
 */
export function assertHops(lines: readonly OutputLine[], texts: readonly string[], count: number): void {
  for (const text of texts) {
    const shown = lines.filter(({ raw }) => raw === text);
    assert.equal(shown.length, count, `hops of ${brief(text)}`);
    const [first] = shown;
    for (const [index, line] of shown.entries())
      assert.deepEqual(
        line.hop,
        index ? { number: index + 1, previous: shown[index - 1]?.seq, origin: first?.seq } : undefined,
        `hop ${index + 1} of ${brief(text)}`,
      );
  }
}

/** None of these strings is anywhere in the capture. */
export function assertAbsent(capture: CaptureResult, secrets: readonly string[]): void {
  const file = capture.lines.map((line) => JSON.stringify(line)).join('\n');
  const text = [file, capture.stdout, capture.stderr].join('\n');
  for (const secret of secrets) assert.ok(!text.includes(secret), `the capture tells ${secret}`);
}
