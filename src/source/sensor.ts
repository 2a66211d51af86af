// SPDX-License-Identifier: Apache-2.0
/** The monitor's side of the channel to the sensor. */
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';
import type {
  FromSensor,
  Holder,
  HolderQuery,
  ProcessInfo,
  ReadyMessage,
  StartMessage,
  ToSensor,
} from '../sensor/messages.ts';
import type { Addresses } from './records.ts';

type Message<T extends FromSensor['type']> = Extract<FromSensor, { type: T }>;

interface SensorEvents {
  started: [Message<'started'>];
  notStarted: [Message<'notStarted'>];
  ended: [Message<'ended'>];
  losses: [Message<'losses'>];
  tls: [Message<'tls'>];
  held: [Message<'held'>];
  caughtUp: [Message<'caughtUp'>];
  /** The sensor is gone without having been told to stop. */
  gone: [];
}

/** Where the program of the sensor lies: beside this one, in the tree as in the package. */
function program(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../sensor/entry.${extension}`, import.meta.url));
}

const ENDED: Message<'failed'> = {
  type: 'failed',
  code: 5,
  message: 'the sensor ended before it was ready; run "mcpspy doctor"',
};

/** A running sensor. It ends when this process does. */
export class Sensor extends EventEmitter<SensorEvents> {
  readonly #child: ChildProcess;
  readonly #replies = new Map<number, (message: FromSensor) => void>();
  #request = 0;
  #stopping = false;
  /** Its end may be told before the end of the channel. */
  #ended = false;
  /** Told before anybody listened. */
  readonly #earlyTls: Message<'tls'>[] = [];
  /** Who was there when the capture began; never told of when the sensor ends before. */
  readonly introduced: Promise<Message<'introduced'>>;
  readonly #onIntroduced: (message: Message<'introduced'>) => void;
  #onReady: ((message: Message<'ready'> | Message<'failed'>) => void) | undefined;
  #onStopped: ((message: Message<'stopped'> | undefined) => void) | undefined;

  constructor() {
    super();
    const { promise, resolve } = Promise.withResolvers<Message<'introduced'>>();
    this.introduced = promise;
    this.#onIntroduced = resolve;
    this.#child = spawn(process.execPath, ['--max-semi-space-size=1', '--max-old-space-size=64', program()], {
      stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    });
    this.#child.on('message', (message) => this.#handle(message as FromSensor));
    this.#child.once('exit', () => this.#gone());
    this.#child.once('error', () => this.#gone());
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Loads and attaches. */
  start(message: Omit<StartMessage, 'type'>): Promise<Message<'ready'> | Message<'failed'>> {
    if (this.#ended) return Promise.resolve(ENDED);
    return new Promise((resolve) => {
      this.#onReady = resolve;
      this.#send({ type: 'start', ...message });
    });
  }

  /** Has these files end with a whole line, should this process be killed in the middle of one. */
  outputs(descriptors: readonly number[]): void {
    this.#send({ type: 'outputs', descriptors });
  }

  /** Starts the command that `start` named. */
  run(): void {
    this.#send({ type: 'run' });
  }

  signal(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
    this.#send({ type: 'signal', signal });
  }

  async holders(query: HolderQuery): Promise<readonly Holder[]> {
    const request = ++this.#request;
    const reply = await this.#ask(request, { type: 'holders', request, query });
    return reply?.type === 'holders' ? reply.holders : [];
  }

  async process(pid: number): Promise<ProcessInfo | null> {
    const request = ++this.#request;
    const reply = await this.#ask(request, { type: 'process', request, pid });
    return reply?.type === 'process' ? reply.process : null;
  }

  /** Has the ends of a connection on this machine looked for; what is found comes as `held`. */
  connection(near: number, { source, destination }: Addresses): void {
    this.#send({ type: 'connection', near, source, destination });
  }

  /** Has `learn` told of all TLS libraries that were found, also before this call. */
  onTls(learn: (message: Message<'tls'>) => void): void {
    for (const message of this.#earlyTls.splice(0)) learn(message);
    this.on('tls', learn);
  }

  /** Detaches. @returns the last counts, or `undefined` when the sensor is gone. */
  stop(): Promise<Message<'stopped'> | undefined> {
    this.#stopping = true;
    if (this.#ended || !this.#child.connected) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#onStopped = resolve;
      this.#send({ type: 'stop' });
    });
  }

  /** Lets the sensor end; the watched command, if it still runs, goes on. */
  release(): void {
    this.#stopping = true;
    if (this.#child.connected) this.#child.disconnect();
    this.#child.unref();
  }

  #send(message: ToSensor): void {
    // A sensor that has just died is noticed by its exit, not here.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #ask(request: number, message: ToSensor): Promise<FromSensor | undefined> {
    if (this.#ended || !this.#child.connected) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#replies.set(request, resolve);
      this.#send(message);
    });
  }

  #handle(message: FromSensor): void {
    switch (message.type) {
      case 'ready':
      case 'failed':
        this.#onReady?.(message);
        break;
      case 'stopped':
        this.#onStopped?.(message);
        break;
      case 'holders':
      case 'process':
        this.#replies.get(message.request)?.(message);
        this.#replies.delete(message.request);
        break;
      case 'started':
        this.emit('started', message);
        break;
      case 'notStarted':
        this.emit('notStarted', message);
        break;
      case 'ended':
        this.emit('ended', message);
        break;
      case 'losses':
        this.emit('losses', message);
        break;
      case 'tls':
        if (!this.emit('tls', message)) this.#earlyTls.push(message);
        break;
      case 'held':
        this.emit('held', message);
        break;
      case 'caughtUp':
        this.emit('caughtUp', message);
        break;
      case 'introduced':
        this.#onIntroduced(message);
        break;
    }
  }

  #gone(): void {
    this.#ended = true;
    this.#onReady?.(ENDED);
    this.#onStopped?.(undefined);
    for (const reply of this.#replies.values()) reply({ type: 'process', request: 0, process: null });
    this.#replies.clear();
    if (!this.#stopping) this.emit('gone');
  }
}

export type { ReadyMessage };
