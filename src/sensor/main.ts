// SPDX-License-Identifier: Apache-2.0
/**
 * The sensor: the only process that keeps privileges. It loads and attaches the
 * kernel programs, decides who is in scope, starts the watched command and reads
 * /proc for the monitor. It never sees payload.
 *
 * It ends with its parent: when the channel closes, the programs go with it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, writeSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { returnLargeBlocks } from './allocator.ts';
import { catchUp } from './catch-up.ts';
import { withDescendants } from './descent.ts';
import { CAPTURE_FAILED, explain } from './explain.ts';
import { HalfLines } from './half-lines.ts';
import { addSockets, HolderSearch, type Holders } from './holders.ts';
import { forgetKernelTypes } from './kernel-types.ts';
import { preferOurselves, withOwnLimits } from './limits.ts';
import { load } from './load.ts';
import type { FromSensor, ProcessInfo, StartMessage, ToSensor, WatchedCommand } from './messages.ts';
import { NewsReader } from './news.ts';
import { allDone } from './off-loop.ts';
import { allPids, readProcess } from './proc.ts';
import { LOSS_SKIPPED, type Programs, SCOPE } from './programs.ts';
import { PeerFinder, peersOf } from './tcp-peers.ts';
import { TlsWatch } from './tls.ts';
import { likelyLibraries } from './tls-files.ts';
import type { UprobeKind } from './uprobes.ts';
import { isElsewhere } from './waiting.ts';

const LOSS_INTERVAL_MS = 1000;
/** So long the beginning waits for files that have to be searched for their TLS library. */
const SEARCH_MS = 5000;
/** … and so long the end. */
const LAST_SEARCH_MS = 1000;
/** So long probes may take to be gone before this process is. */
const LEAVE_MS = 5000;
/** Processes that are described in one go, which takes some 5 ms. */
const INTRODUCED_AT_ONCE = 64;

const peers = new PeerFinder((held) => send({ type: 'held', held }));
const files = new HalfLines();
const holding = new HolderSearch(inScope);
let programs: Programs | undefined;
let tls: TlsWatch | undefined;
let news: NewsReader | undefined;
let child: ChildProcess | undefined;
let started = false;
let holdsFiles = false;
let command: WatchedCommand | undefined;
let wholeMachine = false;
let introduced: Promise<void> | undefined;
/** How often programs had been left out when the processes were last looked up. */
let caughtUp = 0;

function send(message: FromSensor): void {
  // A monitor that has just gone is noticed by the end of the channel, not here.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

/** Puts pids and their descendants in scope; what one of them forks after that the kernel adds. @returns all of them. */
function watch(loaded: Programs, pids: readonly number[]): Set<number> {
  return withDescendants(
    pids,
    () => loaded.parentages(),
    (pid) => loaded.watch(pid),
  );
}

/** Puts probes into TLS libraries, where the processes have any. @returns how. */
function watchTls(loaded: Programs, kind: UprobeKind): UprobeKind {
  if (!loaded.tls) return 'off';
  const watch = new TlsWatch({
    kind,
    programs: loaded.tls,
    wholeMachine,
    inScope,
    found: (pid, libraries) => send({ type: 'tls', pid, libraries }),
  });
  watch.learn(likelyLibraries());
  if (watch.rehearse().refusal !== undefined) return 'off';
  tls = watch;
  if (command) watch.study(command.file);
  news = new NewsReader(
    loaded.news,
    (batch) => watch.news(batch),
    () => watch.catchUp(allPids(), loaded.mappings()),
  );
  return kind;
}

function inScope(pid: number): boolean {
  return programs !== undefined && (wholeMachine ? !programs.ignored(pid) : programs.inScope(pid));
}

/** Resolves when the probes are in place; what takes longer to be searched is probed later. */
async function probed(known: readonly number[]): Promise<void> {
  if (!tls || !programs) return;
  // To list what everybody has mapped takes long on a large machine.
  if (known.length) tls.lookAll(known, programs.mappings());
  // Of the whole machine there is always one more.
  if (!wholeMachine) await Promise.race([tls.searched(), sleep(SEARCH_MS, undefined, { ref: false })]);
}

async function start(message: StartMessage): Promise<void> {
  wholeMachine = message.wholeMachine;
  command = message.command;
  // Of the whole machine the other end of everything is in scope, and tells of the bytes.
  const running = message.pids.length
    ? (fresh: Programs) => withDescendants(message.pids, () => fresh.parentages())
    : undefined;
  const loaded = load({ ...message, running }, (fresh) => {
    fresh.setScope(process.pid, SCOPE.ignored);
    for (const pid of message.ignore) fresh.setScope(pid, SCOPE.ignored);
  });
  forgetKernelTypes();
  programs = loaded.programs;
  const uprobes = watchTls(programs, loaded.uprobes.kind);
  const marked = watch(programs, message.pids);
  programs.hooksComplete(isElsewhere);
  const known = wholeMachine ? allPids() : [...marked];
  const ignored = new Set([process.pid, ...message.ignore]);
  // Only then: who is told that mcpspy watches may let go what it held back.
  await probed(known);
  introduced = introduce(known.filter((pid) => !ignored.has(pid)));
  send({
    type: 'ready',
    backend: programs.backend,
    ringSize: message.ringSize,
    ioUring: programs.ioUring,
    tls: uprobes,
    ...programs.maps(),
  });
  setInterval(() => {
    if (!programs) return;
    const losses = programs.losses();
    send({ type: 'losses', losses });
    const skipped = losses.find(({ cause }) => cause === LOSS_SKIPPED)?.records ?? 0;
    if (skipped > caughtUp) followProcesses(programs);
    caughtUp = skipped;
    programs.settleWaiting((thread) => existsSync(`/proc/${thread}`));
  }, LOSS_INTERVAL_MS).unref();
}

/** After something was left out, which may have been a fork or an end. */
function followProcesses(loaded: Programs): void {
  if (wholeMachine) return;
  const scope = {
    parentages: () => loaded.parentages(),
    watched: () => loaded.watched(),
    watch: (pid: number) => loaded.watch(pid),
    forget: (pid: number) => loaded.clearScope(pid),
  };
  const { born, ended } = catchUp(scope, child?.pid ? [child.pid] : []);
  for (const pid of born) tls?.look(pid);
  for (const pid of ended) tls?.gone(pid);
  const processes = born.flatMap((pid) => readProcess(pid) ?? []);
  if (processes.length || ended.length) send({ type: 'caughtUp', processes, ended });
}

/** Few at once; many in pieces, since meanwhile new processes wait for their probes. */
async function introduce(pids: readonly number[]): Promise<void> {
  const processes: ProcessInfo[] = [];
  const sockets: Holders = new Map();
  for (let at = 0; at < pids.length; at += INTRODUCED_AT_ONCE) {
    if (at > 0) await setImmediate();
    const piece = pids.slice(at, at + INTRODUCED_AT_ONCE);
    processes.push(...piece.flatMap((pid) => readProcess(pid) ?? []));
    // Of the whole machine everybody is in scope, and tells by its calls.
    if (!wholeMachine) addSockets(piece, sockets);
  }
  send({ type: 'introduced', processes, peers: peersOf(pids, sockets) });
}

/**
 * The command is a child of the sensor and in scope from the moment of its fork:
 * the kernel programs mark what a "spawner" forks. setpriv(1) gives it the user's
 * ids and groups and then becomes the command itself.
 */
function run(): void {
  if (!programs || !command || child) return;
  const { user, file, argv } = command;
  const asUser = user && user.uid !== process.getuid?.();
  const groups = user?.listed ? '--init-groups' : '--clear-groups';
  const prefix = asUser ? ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, groups, '--'] : [];
  const [program = file, ...rest] = [...prefix, file, ...argv.slice(1)];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    ...(asUser ? { HOME: user.home, USER: user.name, LOGNAME: user.name } : {}),
  };
  delete env['MCPSPY_NOFILE'];
  programs.setScope(process.pid, SCOPE.spawner);
  child = withOwnLimits(() =>
    spawn(program, rest, { stdio: 'inherit', env, ...(asUser ? {} : { argv0: argv[0] ?? file }) }),
  );
  programs.setScope(process.pid, SCOPE.ignored);
  child.once('spawn', () => send({ type: 'started', pid: child?.pid ?? 0 }));
  child.once('error', (error: NodeJS.ErrnoException) =>
    send({ type: 'notStarted', ...whyNotStarted(error, file, program) }),
  );
  child.once('exit', (code, signal) => send({ type: 'ended', code, signal }));
}

function whyNotStarted(
  error: NodeJS.ErrnoException,
  file: string,
  program: string,
): { code: number; message: string } {
  if (program !== file && error.code === 'ENOENT')
    return {
      code: CAPTURE_FAILED,
      message: `cannot run ${file} as you: there is no setpriv; install util-linux`,
    };
  const code = error.code === 'ENOENT' ? 127 : 126;
  return {
    code,
    message: `cannot run ${file}: ${error.code ?? error.message}; check its permissions and its first line`,
  };
}

async function stop(): Promise<void> {
  if (!programs) return;
  news?.close();
  tls?.close();
  programs.detach();
  holding.look();
  // Whose TLS could not be read is to be told by name, even of a process that was gone at once.
  if (tls) await Promise.race([tls.searched(), sleep(LAST_SEARCH_MS)]);
  await introduced;
  send({ type: 'stopped', losses: programs.losses(), pending: programs.pendingLosses() });
}

function handle(message: ToSensor): void {
  switch (message.type) {
    case 'start':
      // Once: by the second time the monitor has read what others wrote.
      if (started) break;
      started = true;
      start(message).catch((error: unknown) => {
        const { code, reason, fix } = explain(error);
        send({ type: 'failed', code, message: `${reason}; ${fix}` });
      });
      break;
    case 'outputs':
      if (holdsFiles) break;
      holdsFiles = true;
      files.hold(process.ppid, message.descriptors);
      break;
    case 'run':
      run();
      break;
    case 'signal':
      child?.kill(message.signal);
      break;
    case 'holders': {
      const { request, query } = message;
      holding.ask(query, (holders) => send({ type: 'holders', request, holders }));
      break;
    }
    case 'process':
      send({ type: 'process', request: message.request, process: readProcess(message.pid) ?? null });
      break;
    case 'connection':
      if (!wholeMachine) peers.find(message);
      break;
    case 'stop':
      void stop();
      break;
  }
}

// The terminal's Ctrl+C reaches the whole process group; the monitor decides what it means.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const) process.on(signal, () => {});
process.on('message', (message) => handle(message as ToSensor));
// The watched command is not ours to kill: without its parent it goes on.
process.on('disconnect', () => {
  files.cut();
  tls?.close();
  // The kernel would take them out one after another.
  void Promise.race([allDone(), sleep(LEAVE_MS)]).then(() => process.exit(0));
});
process.on('uncaughtException', (error) => {
  writeSync(
    2,
    `mcpspy: a fault of the sensor's own: ${error.message.replace(/\s+/g, ' ')}; please report it\n`,
  );
  process.exit(CAPTURE_FAILED);
});
returnLargeBlocks();
preferOurselves();
