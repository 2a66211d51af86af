// SPDX-License-Identifier: Apache-2.0
/** Wires the rooms of one capture: sensor → source → streams → mcp → bus → views and outputs. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { isatty } from 'node:tty';
import { Bus } from '../bus.ts';
import { Analyzer } from '../mcp/analyzer.ts';
import type { CaptureInfo } from '../mcp/events.ts';
import { Statistics } from '../mcp/statistics.ts';
import { type LineSink, OutputError, openOutput } from '../outputs/file-writer.ts';
import { JsonLinesOutput } from '../outputs/json-lines-output.ts';
import { limitRoom } from '../protocols/room.ts';
import { explain } from '../sensor/explain.ts';
import { preferOurselves } from '../sensor/limits.ts';
import type { WatchedCommand } from '../sensor/messages.ts';
import { gapOf } from '../source/decode.ts';
import { type Mappings, mapAll } from '../source/mapping.ts';
import { RingReader } from '../source/reader.ts';
import type { RecordSink, SourceRecord } from '../source/records.ts';
import { type ReadyMessage, Sensor } from '../source/sensor.ts';
import { VerdictTable } from '../source/verdicts.ts';
import { Tracker } from '../streams/tracker.ts';
import { ConsoleView } from '../views/console.ts';
import { DebugView } from '../views/debug.ts';
import { formatSummaryText } from '../views/summary.ts';
import { Clock, monotonic } from './clock.ts';
import { CliError, EXIT, writeMessage } from './errors.ts';
import { Garbage } from './garbage.ts';
import { LossCounter } from './losses.ts';
import type { CaptureOptions } from './options.ts';
import { streamControl } from './stream-control.ts';
import { dropPrivileges, invokingUser } from './user.ts';
import { VERSION } from './version.ts';

/** So many of the largest messages may be incomplete at the same time: their memory is what a capture takes at worst. */
const MESSAGES_BEGUN = 8;
/** How long no watched process must be left, milliseconds. */
const EMPTY_MS = 100;

export class Capture {
  readonly sensor: Sensor;
  /** Resolves when the capture is to end: by `stop`, by the last watched process, or by a fault. */
  readonly over: Promise<void>;
  /** What ended the capture before its time. */
  fault: CliError | undefined;
  readonly #options: CaptureOptions;
  readonly #ready: ReadyMessage;
  readonly #bus = new Bus();
  readonly #statistics = new Statistics();
  readonly #losses = new LossCounter(this.#bus);
  readonly #tracker: Tracker;
  readonly #analyzer: Analyzer;
  readonly #reader: RingReader;
  readonly #display: LineSink | undefined;
  readonly #messages: LineSink;
  readonly #outputs: Outputs;
  readonly #clock = new Clock();
  readonly #startedAt: number;
  #ending: NodeJS.Timeout | undefined;
  readonly stop: () => void;

  /**
   * Opens the outputs, starts the sensor, gives up root and begins to watch.
   * @param early A sensor that was started beforehand.
   * @param display Where the live lines go when they have a choice.
   * @param command What `sensor.run` will start.
   * @throws CliError for every foreseeable fault.
   */
  static async begin(
    options: CaptureOptions,
    early: Sensor | undefined,
    display: 'stdout' | 'stderr',
    command?: WatchedCommand,
  ): Promise<Capture> {
    if (process.geteuid?.() !== 0)
      throw new CliError(
        EXIT.noPrivilege,
        'needs root to load its kernel programs; run it with sudo, or "mcpspy doctor" to see what is missing',
      );
    for (const pid of options.pid) checkProcess(pid);
    // The sensor loads while the outputs are being opened.
    const sensor = early ?? new Sensor();
    const starting = sensor.start({
      ringSize: options.ringSize,
      backend: options.backend,
      wholeMachine: display === 'stdout' && options.pid.length === 0,
      pids: options.pid,
      ignore: [process.pid],
      command,
    });
    try {
      const outputs = openOutputs(options);
      sensor.outputs(outputs.sinks.flatMap(({ file }) => file ?? []));
      const ready = await starting;
      if (ready.type === 'failed') throw new CliError(ready.code, ready.message);
      const mappings = mapped(ready);
      // The ring is only as large as our delay: whoever fills it must not keep us from emptying it.
      preferOurselves();
      dropPrivileges(invokingUser());
      return new Capture(options, display, sensor, ready, mappings, outputs);
    } catch (error) {
      sensor.release();
      throw error;
    }
  }

  private constructor(
    options: CaptureOptions,
    display: 'stdout' | 'stderr',
    sensor: Sensor,
    ready: ReadyMessage,
    mappings: Mappings,
    outputs: Outputs,
  ) {
    this.#options = options;
    this.#ready = ready;
    this.sensor = sensor;
    this.#outputs = outputs;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.over = promise;
    this.stop = resolve;
    // A watched command goes on, and ends with its own status, even if nobody listens any more.
    if (display === 'stdout') outputs.whenAllClosed(this.stop);
    this.#startedAt = performance.now();

    const stdoutTaken = options.output.some(isStdout);
    const target = display === 'stdout' && !stdoutTaken ? 'stdout' : 'stderr';
    this.#messages = openOutput('/dev/fd/2');
    this.#display = options.quiet ? undefined : target === 'stdout' ? outputs.open('-') : this.#messages;
    this.#subscribe(target);

    const wall = (time: number) => this.#clock.wall(time);
    const control = streamControl(() => this.#tracker);
    const analyzer = new Analyzer(this.#bus, control, { allJsonRpc: options.allJsonrpc, wall });
    this.#analyzer = analyzer;
    limitRoom(MESSAGES_BEGUN * options.maxMessage);
    this.#tracker = new Tracker(
      { maxMessage: options.maxMessage },
      sensor,
      new VerdictTable(mappings.verdicts),
      (item) => analyzer.item(item),
    );
    sensor.on('held', ({ held }) => this.#tracker.held(held));
    sensor.on('caughtUp', ({ processes, ended }) => {
      this.#tracker.processes.watch(processes);
      for (const pid of ended) this.#tracker.record({ type: 'exit', time: monotonic(), pid });
    });
    sensor.onTls(({ pid, libraries }) => this.#tracker.encrypted.learn(pid, libraries));
    this.#bus.emit('capture', this.#captureInfo());
    sensor.once('gone', () => {
      this.fault = new CliError(
        EXIT.captureFailed,
        'the sensor has ended unexpectedly: what was captured until then is kept; start mcpspy again to go on',
      );
      this.stop();
    });
    const endsWithProcesses = display === 'stdout' && options.pid.length > 0;
    const sink: RecordSink = {
      record: (record) => this.#record(record),
      settled: (time) => {
        const unsettled = this.#tracker.settled(time);
        return analyzer.settled(time) || unsettled;
      },
    };
    const garbage = new Garbage();
    this.#reader = new RingReader(mappings, sink, (busy) => {
      this.#flush();
      this.#clock.look();
      if (garbage.look(busy)) this.#debug('garbage was collected');
      if (endsWithProcesses && !this.#tracker.processes.watched) this.#endSoon();
    });
    // What comes meanwhile waits in the ring: it is told of by those who were there.
    void sensor.introduced.then(({ processes, peers }) => {
      this.#tracker.processes.watch(processes);
      this.#tracker.held(peers);
      this.#reader.start();
    });
    this.#flush();
  }

  /** Is something missing from a file because it could not be written? */
  get incomplete(): boolean {
    return this.#outputs.failed();
  }

  /** One sentence for the person at the terminal. */
  say(level: 'info' | 'warn', sentence: string): void {
    const { quiet, logLevel } = this.#options;
    if (logLevel === 'error' || (level === 'info' && (quiet || logLevel === 'warn'))) return;
    this.#messages.flush();
    writeMessage(sentence);
  }

  get #debugging(): boolean {
    return this.#options.verbose || this.#options.logLevel === 'debug';
  }

  /** What was not wanted may be lost, too: the kernel counts all of it. */
  #debug(line: string): void {
    if (this.#debugging) this.#messages.write(line);
  }

  #record(record: SourceRecord): void {
    if (record.type === 'gap') this.#losses.told(record);
    this.#tracker.record(record);
  }

  /** Detaches, handles what is left, and writes the summary everywhere. */
  async finish(): Promise<void> {
    const stopped = await this.sensor.stop();
    const time = monotonic();
    this.#reader.finish();
    for (const pending of stopped?.pending ?? []) this.#record(gapOf(time, pending));
    this.#tracker.finish(time);
    this.#analyzer.finish();
    clearTimeout(this.#ending);
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const losses = this.#losses.total(stopped?.losses ?? []);
    this.#debug(`kernel losses ${JSON.stringify(stopped?.losses ?? [])}`);
    const { unseen } = this.#analyzer;
    const undecoded = this.#tracker.encrypted.undecoded();
    const summary = {
      // The same in all outputs.
      time: this.#clock.wall(monotonic()),
      ...this.#statistics.summary(seconds, losses, this.#analyzer.repeats),
      backend: this.#ready.backend,
      ...(undecoded.length ? { undecoded } : {}),
      ...(unseen.streams ? { unseen } : {}),
    };
    this.#bus.emit('summary', summary);
    if (!this.#options.quiet) this.#messages.write(formatSummaryText(summary).trimEnd());
    else if (Object.keys(summary.losses).length || unseen.streams)
      this.say('warn', 'bytes were lost, or may have been; the summary in the output file says why');
    for (const sink of [...this.#outputs.sinks, this.#messages]) sink.close();
    // They end with whole lines, and may be others' from now on.
    this.sensor.outputs([]);
    this.sensor.release();
  }

  #subscribe(target: 'stdout' | 'stderr'): void {
    const bus = this.#bus;
    const { color, buffers } = this.#options;
    for (const sink of this.#outputs.sinks) if (sink !== this.#display) new JsonLinesOutput(bus, sink);
    const display = this.#display;
    if (display) {
      const colored = color === 'always' || (color === 'auto' && colourful(target === 'stdout' ? 1 : 2));
      new ConsoleView(bus, (text) => display.write(text.replace(/\n$/, '')), { color: colored, buffers });
    }
    if (this.#debugging) new DebugView(bus, (line) => this.#messages.write(line));
    bus.on('message', (event) => this.#statistics.add(event));
    bus.on('invalid', (event) => this.#statistics.add(event));
    bus.on('stderr', (event) => this.#statistics.add(event));
    bus.on('http', (event) => this.#statistics.add(event));
    bus.on('gap', (event) => this.#statistics.add(event));
    bus.on('server', (event) => this.#statistics.addServer(event));
  }

  #flush(): void {
    for (const sink of this.#outputs.sinks) sink.flush();
    this.#messages.flush();
  }

  /** The capture of named processes ends with the last of them, unless another one was just being born. */
  #endSoon(): void {
    this.#ending ??= setTimeout(() => {
      this.#ending = undefined;
      if (!this.#tracker.processes.watched) this.stop();
    }, EMPTY_MS);
  }

  #captureInfo(): CaptureInfo {
    const { pid, output, maxMessage, ringSize, allJsonrpc } = this.#options;
    return {
      time: this.#clock.wall(monotonic()),
      version: VERSION,
      host: os.hostname(),
      kernel: os.release(),
      arch: os.arch(),
      backend: this.#ready.backend,
      options: { pid, output, max_message: maxMessage, ring_size: ringSize, all_jsonrpc: allJsonrpc },
    };
  }
}

/** @throws CliError unless this is the pid of a process that runs. */
function checkProcess(pid: number): void {
  const group = threadGroup(pid);
  if (group === undefined)
    throw new CliError(EXIT.usage, `there is no process ${pid} to watch; give the pid of a running process`);
  if (group !== pid)
    throw new CliError(EXIT.usage, `${pid} is a thread of process ${group}; watch that with --pid ${group}`);
}

/** The process that this pid, or thread id, is of: proc_pid_status(5). */
function threadGroup(id: number): number | undefined {
  try {
    return Number(/^Tgid:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, 'latin1'))?.[1]);
  } catch {
    return undefined;
  }
}

/** @throws CliError when the kernel does not let us map what the sensor made. */
function mapped(ready: ReadyMessage): Mappings {
  try {
    return mapAll(ready);
  } catch (error) {
    const { code, reason, fix } = explain(error);
    throw new CliError(code, `${reason}; ${fix}`);
  }
}

/** The names of standard output. */
function isStdout(path: string): boolean {
  return ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'].includes(path);
}

/** Does this descriptor lead to something that shows colours, and does the user want them? */
function colourful(fd: number): boolean {
  return isatty(fd) && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
}

/** The files and streams lines go to, and when the last of them has closed. */
interface Outputs {
  readonly sinks: LineSink[];
  open(path: string): LineSink;
  /** Could one of them not be written? */
  failed(): boolean;
  whenAllClosed(then: () => void): void;
}

function openOutputs(options: CaptureOptions): Outputs {
  const sinks: LineSink[] = [];
  let allClosed = () => {};
  let failed = false;
  const onClosed = () => {
    if (sinks.every((sink) => sink.closed)) allClosed();
  };
  const open = (path: string): LineSink => {
    const user = invokingUser();
    const sink = openOutput(path, {
      append: options.append,
      noClobber: !options.clobber,
      owner: user && { uid: user.uid, gid: user.gid, name: user.listed ? user.name : undefined },
      onFailure: (sentence) => {
        failed = true;
        writeMessage(sentence);
        onClosed();
      },
      onReaderGone: onClosed,
    });
    sinks.push(sink);
    return sink;
  };
  try {
    for (const path of new Set(options.output)) open(path);
  } catch (error) {
    if (error instanceof OutputError) throw new CliError(EXIT.usage, error.message);
    throw error;
  }
  const whenAllClosed = (then: () => void) => {
    allClosed = then;
  };
  return { sinks, open, failed: () => failed, whenAllClosed };
}
