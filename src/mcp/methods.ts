// SPDX-License-Identifier: Apache-2.0
/**
 * The methods and error codes of every MCP version, from each version's `schema/<version>/schema.ts`
 * (modelcontextprotocol/modelcontextprotocol), and of the official extensions.
 */

/** Every released version of the protocol, oldest first. Dates, so they compare as strings. */
export const PROTOCOL_VERSIONS = [
  '2024-11-05',
  '2025-03-26',
  '2025-06-18',
  '2025-11-25',
  '2026-07-28',
] as const;

/** One of {@link PROTOCOL_VERSIONS}. */
export type ProtocolVersion = (typeof PROTOCOL_VERSIONS)[number];

/** What the specification says of one method. */
export interface Method {
  readonly name: string;
  /** Short human text, sentence case without a full stop. */
  readonly description: string;
  readonly kind: 'request' | 'notification';
  /** Who may send it in at least one version. */
  readonly sender: 'client' | 'server' | 'either';
  /** The versions whose own table has it, oldest first; empty when only an extension has it. */
  readonly versions: readonly ProtocolVersion[];
  /** The `capabilities.extensions` key of the extension that has it, too or only. */
  readonly extension: string | undefined;
  /** Paths into `params` that may name what the method is about; the first that leads to a name counts. */
  readonly target: readonly (readonly string[])[];
}

/** What a row of the table may leave out. */
interface Details {
  /** First version; by default the first of all. */
  since?: ProtocolVersion;
  /** Last version; by default there is none. */
  until?: ProtocolVersion;
  /** Only in the extension. */
  extensionOnly?: true;
  extension?: string;
  /** Dotted paths, as in {@link Method.target}. */
  target?: readonly string[];
}

const TASKS = 'io.modelcontextprotocol/tasks';

function method(name: string, sender: Method['sender'], description: string, details: Details = {}): Method {
  const since = details.since ?? '';
  const until = details.until ?? '9999';
  return {
    name,
    description,
    kind: name.startsWith('notifications/') ? 'notification' : 'request',
    sender,
    versions: details.extensionOnly ? [] : PROTOCOL_VERSIONS.filter((v) => v >= since && v <= until),
    extension: details.extension,
    target: (details.target ?? []).map((path) => path.split('.')),
  };
}

// In 2026-07-28 `elicitation/create`, `roots/list` and `sampling/createMessage` are never frames of their
// own: they stand inside the `inputRequests` of a result.
const METHODS: ReadonlyMap<string, Method> = new Map(
  [
    method('initialize', 'client', 'Open a session and agree on capabilities', { until: '2025-11-25' }),
    method('notifications/initialized', 'client', 'Session is ready', { until: '2025-11-25' }),
    method('ping', 'either', 'Check that the other side responds', { until: '2025-11-25' }),
    method('server/discover', 'client', 'Ask for server identity and capabilities', { since: '2026-07-28' }),

    method('tools/list', 'client', 'List available tools'),
    method('tools/call', 'client', 'Execute a tool', { target: ['name'] }),
    method('notifications/tools/list_changed', 'server', 'Tool list has changed'),

    method('prompts/list', 'client', 'List available prompts'),
    method('prompts/get', 'client', 'Fetch a prompt', { target: ['name'] }),
    method('notifications/prompts/list_changed', 'server', 'Prompt list has changed'),

    method('resources/list', 'client', 'List available resources'),
    method('resources/templates/list', 'client', 'List resource templates'),
    method('resources/read', 'client', 'Read a resource', { target: ['uri'] }),
    method('resources/subscribe', 'client', 'Watch a resource for updates', {
      until: '2025-11-25',
      target: ['uri'],
    }),
    method('resources/unsubscribe', 'client', 'Stop watching a resource', {
      until: '2025-11-25',
      target: ['uri'],
    }),
    method('notifications/resources/list_changed', 'server', 'Resource list has changed'),
    method('notifications/resources/updated', 'server', 'Resource has changed', { target: ['uri'] }),

    method('subscriptions/listen', 'client', 'Open a stream of change notifications', {
      since: '2026-07-28',
    }),
    method('notifications/subscriptions/acknowledged', 'server', 'Subscription is active', {
      since: '2026-07-28',
    }),

    method('completion/complete', 'client', 'Suggest values for an argument', {
      target: ['ref.name', 'ref.uri'],
    }),
    method('logging/setLevel', 'client', 'Set the minimum log level', {
      until: '2025-11-25',
      target: ['level'],
    }),
    method('notifications/message', 'server', 'Log message', { target: ['level'] }),
    method('notifications/progress', 'either', 'Progress of a request', { target: ['progressToken'] }),
    method('notifications/cancelled', 'either', 'Request was cancelled', { target: ['requestId'] }),

    method('roots/list', 'server', 'List the roots the client exposes'),
    method('notifications/roots/list_changed', 'client', 'Root list has changed', { until: '2025-11-25' }),
    method('sampling/createMessage', 'server', 'Ask the client to sample its model'),
    method('elicitation/create', 'server', 'Ask the user for input', { since: '2025-06-18' }),
    method('notifications/elicitation/complete', 'server', 'Out-of-band input is complete', {
      since: '2025-11-25',
      until: '2025-11-25',
      target: ['elicitationId'],
    }),

    // 2025-11-25 had tasks of its own; since 2026-07-28 they are an extension (SEP-2663).
    method('tasks/get', 'either', 'Get the state of a task', {
      since: '2025-11-25',
      until: '2025-11-25',
      extension: TASKS,
      target: ['taskId'],
    }),
    method('tasks/result', 'either', 'Wait for the result of a task', {
      since: '2025-11-25',
      until: '2025-11-25',
      target: ['taskId'],
    }),
    method('tasks/list', 'either', 'List tasks', { since: '2025-11-25', until: '2025-11-25' }),
    method('tasks/cancel', 'either', 'Cancel a task', {
      since: '2025-11-25',
      until: '2025-11-25',
      extension: TASKS,
      target: ['taskId'],
    }),
    method('notifications/tasks/status', 'either', 'Task state has changed', {
      since: '2025-11-25',
      until: '2025-11-25',
      target: ['taskId'],
    }),
    method('tasks/update', 'client', 'Give a task the input it asked for', {
      extensionOnly: true,
      extension: TASKS,
      target: ['taskId'],
    }),
    method('notifications/tasks', 'server', 'Task state has changed', {
      extensionOnly: true,
      extension: TASKS,
      target: ['taskId'],
    }),
  ].map((entry) => [entry.name, entry]),
);

const BY_VERSION: ReadonlyMap<ProtocolVersion, ReadonlySet<string>> = new Map(
  PROTOCOL_VERSIONS.map((version) => [
    version,
    new Set([...METHODS.values()].filter((m) => m.versions.includes(version)).map((m) => m.name)),
  ]),
);

const NONE: ReadonlySet<string> = new Set();

/** Names that other JSON-RPC protocols have too: LSP and many more the first two, Agent2Agent the tasks. */
const SHARED: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'tasks/get',
  'tasks/result',
  'tasks/list',
  'tasks/cancel',
  'tasks/update',
]);

/** The method of that exact name in any version or extension; `undefined` when there is none. */
export function methodOf(name: string): Method | undefined {
  return METHODS.get(name);
}

/** Names of the methods in the version's own table, without extensions. */
export function methodsIn(version: ProtocolVersion): ReadonlySet<string> {
  return BY_VERSION.get(version) ?? NONE;
}

/** May a frame of this version be an array of messages? Only 2025-03-26 (Base Protocol, Batching). */
export function allowsBatch(version: ProtocolVersion): boolean {
  return version === '2025-03-26';
}

/**
 * What a message is about, by its method: tool or prompt name, resource URI, task id, …
 * Safe on hostile `params`: looks at own properties only. Strings are returned as they are, of any length
 * and content, safe integers in decimal; anything else, and any unknown method, gives `undefined`.
 */
export function targetOf(method: string, params: unknown): string | undefined {
  const paths = METHODS.get(method)?.target;
  if (paths === undefined) return undefined;
  for (const path of paths) {
    let value = params;
    for (const key of path) {
      value = typeof value === 'object' && value !== null ? ownProperty(value, key) : undefined;
    }
    if (typeof value === 'string') return value;
    if (Number.isSafeInteger(value)) return String(value);
  }
  return undefined;
}

function ownProperty(object: object, key: string): unknown {
  return Object.hasOwn(object, key) ? (object as Record<string, unknown>)[key] : undefined;
}

/** Is this name alone proof of MCP? `tools/call` is; `ping` and `initialize`, which LSP has too, are not. */
export function isDistinctive(name: string): boolean {
  return METHODS.has(name) && !SHARED.has(name);
}

const ERRORS: ReadonlyMap<number, string> = new Map([
  [-32700, 'Parse error'],
  [-32600, 'Invalid Request'],
  [-32601, 'Method not found'],
  [-32602, 'Invalid params'],
  [-32603, 'Internal error'],
  // Until 2025-11-25; then replaced by -32602.
  [-32002, 'Resource not found'],
  // Only in 2025-11-25.
  [-32042, 'URL elicitation required'],
  // Since 2026-07-28.
  [-32020, 'Header mismatch'],
  [-32021, 'Missing required client capability'],
  [-32022, 'Unsupported protocol version'],
]);

/**
 * Name of an error code of JSON-RPC 2.0 (section 5.1) or of any MCP version; `undefined` for all others,
 * also for -32000 to -32019 (but -32002), to which every implementation gives a meaning of its own.
 */
export function errorName(code: number): string | undefined {
  return ERRORS.get(code);
}
