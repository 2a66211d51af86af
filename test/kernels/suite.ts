// SPDX-License-Identifier: Apache-2.0
/** Which tests run under which kernel, all of them in one VM a kernel. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Arch } from './apt.ts';
import type { Kernel, Line } from './kernels.ts';
import { type GuestTest, readResults } from './results.ts';
import { inGuest } from './vm.ts';

/** The names that `--backend` knows. */
export type Backend = 'tracepoint' | 'fentry';

/** Some tests of some files. */
export interface Selection {
  readonly files: readonly string[];
  /** Parts of their names; default: all. */
  readonly names?: readonly string[];
  /** Parts of the names of those that are left out. */
  readonly except?: readonly string[];
  /** The one they run on, where it is not the test's own choice. */
  readonly backend?: Backend;
  /** Those that watch the whole machine for all of them at once: test/support/watched.ts. */
  readonly watching?: readonly Backend[];
  /** Further files, which test/kernels/guest/together.guest.ts imports. */
  readonly imported?: readonly string[];
}

const guest = (name: string): Selection => ({ files: [`test/kernels/guest/${name}.guest.ts`] });

/** A group of tests, by its name. */
const SCENE = 'the whole machine';

/** Some files of the end-to-end suite, or nothing but what is about the whole machine, while that is watched. */
export function watchedTogether(
  { files, names, except }: Selection,
  watching: readonly Backend[] = ['tracepoint', 'fentry'],
): Selection {
  const guests = [SCENE, 'of all that the tests before'];
  return {
    ...{ ...guest('together'), watching, imported: files },
    ...(names ? { names: [...guests, ...names] } : {}),
    ...(except ? { except } : {}),
  };
}

const DOCTOR = guest('doctor');
/** What does not need a machine of its own, but patience. */
const LOAD = guest('load');
const SDK = guest('sdk');
const EACH_CALL = guest('calls');
const e2e = (name: string, ...names: readonly string[]): Selection => ({
  files: [`test/e2e/${name}.test.ts`],
  names,
});
const PROBE = e2e('tls-probes', 'SSL_read and SSL_write');
const on = (backend: Backend, ...selections: readonly Selection[]): Selection[] =>
  selections.map((selection) => ({ ...selection, backend }));

/** Is it `npm run test:kernels` that runs us? */
const WITH_REST = process.env['MCPSPY_TEST_KERNELS'] === 'all';

/** Some tests by file, for which the whole machine is watched. */
function watched(
  tests: Readonly<Record<string, readonly string[]>>,
  rest: Readonly<Record<string, readonly string[]>> = {},
  watching?: readonly Backend[],
): Selection {
  const all = [...Object.entries(tests), ...(WITH_REST ? Object.entries(rest) : [])];
  const files = new Set(all.map(([name]) => `test/e2e/${name}.test.ts`));
  return watchedTogether({ files: [...files], names: all.flatMap(([, names]) => names) }, watching);
}

/** Tests of which nobody may be disturbed by others, then some side by side: the VM has two processors. */
export interface Parts {
  readonly alone: readonly Selection[];
  readonly together: readonly Selection[];
}

/** With those that `npm test` has no time for, and only `npm run test:kernels` runs. */
interface PartsWithRest extends Parts {
  readonly restAlone?: readonly Selection[];
  readonly rest?: readonly Selection[];
}

/** As much as fits into three minutes a kernel: without KVM a capture takes from ten to thirty seconds. */
const PARTS: Readonly<Record<Arch, Partial<Record<Line, PartsWithRest>>>> = {
  amd64: {
    '6.1': {
      alone: [
        watched(
          {
            'bytes-calls': ['1024 segments'],
            'bytes-sizes': ['writes of one byte through a pipe'],
            faults: ['another in the middle of a message'],
          },
          { 'http-python': ['http.server over TLS'] },
        ),
      ],
      together: [],
    },
    '6.12': {
      alone: [
        watched(
          {
            'bytes-calls': ['MSG_PEEK', '1024 segments'],
            'bytes-blind': ['also when the reader takes its time', 'io_uring at both ends'],
            faults: ['used again for another pipe', 'while another is torn down'],
          },
          {
            'bytes-calls': ['on a seqpacket'],
            'http-python': ['http_client.py and http.server in clear'],
            'tcp-ends': ['100 bytes at a time after both sides'],
          },
        ),
      ],
      together: [],
    },
    newest: {
      alone: [],
      together: [DOCTOR],
      restAlone: [watched({}, {}, ['tracepoint'])],
      rest: [LOAD],
    },
  },
  arm64: {
    '6.12': {
      alone: [],
      together: [DOCTOR, ...on('tracepoint', EACH_CALL, PROBE), ...on('fentry', SDK)],
    },
  },
};

/** The kernels of an architecture under which anything is tested. */
export const linesOf = (arch: Arch) => Object.keys(PARTS[arch]) as Line[];

/** Programs by Debian's own Python, and not by a script that first looks for one. */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a VM with the suite in it came to. */
export interface SuiteResult {
  readonly tests: readonly GuestTest[];
  /** All it wrote, for whoever has to find out why. */
  readonly output: string;
  /** Why there may be tests missing. */
  readonly fault: string | undefined;
}

/** How slow an emulated machine may be. */
export interface Patience {
  /** Milliseconds until the VM is killed. */
  readonly timeout: number;
  /** Milliseconds until a test is given up. */
  readonly testTimeout: number;
  /** What the tests' own limits are multiplied with (test/support/patience.ts). */
  readonly factor: number;
}

/**
 * Boots `kernel` and runs its tests there.
 * @param peers A directory with programs of test/peers that are compiled already.
 * @param timeout Milliseconds until the VM is killed.
 * @throws when the VM cannot be started at all.
 */
export function runSuite(kernel: Kernel, peers: string, timeout: number): Promise<SuiteResult> {
  const { alone = [], together = [], restAlone = [], rest = [] } = PARTS[kernel.arch][kernel.line] ?? {};
  const parts = WITH_REST
    ? { alone: [...alone, ...restAlone], together: [...together, ...rest] }
    : { alone, together };
  return runParts(kernel, parts, peers, { timeout, testTimeout: 300_000, factor: 5 });
}

/** The same with tests of the caller's choice. */
export async function runParts(
  kernel: Kernel,
  { alone, together }: Parts,
  peers: string,
  { timeout, testTimeout, factor }: Patience,
): Promise<SuiteResult> {
  let output = '';
  const batches = [...alone, ...together];
  const commands = batches.map(
    (batch, index) => testing(batch, index, testTimeout) + (index < alone.length ? '' : ' &'),
  );
  const result = await inGuest({
    kernel,
    timeout,
    command: ['sh', '-c', [...commands, 'wait'].join('\n')],
    env: {
      PATH,
      MCPSPY_PEERS: '/run/vm/peers',
      MCPSPY_TEST_PATIENCE: String(factor),
    },
    prepare: (directory) => {
      mkdirSync(join(directory, 'peers'));
      cpSync(peers, join(directory, 'peers'), { recursive: true });
    },
    output: (chunk) => {
      output += chunk;
    },
  });
  const all = batches.map((_, index) => readResults(result.file(`tests.${index}`) ?? ''));
  result.close();
  // A test that has got another name would be left out, and nobody would know.
  const missing = batches.flatMap(({ names = [] }, index) =>
    names.filter((name) => name !== SCENE && !all[index]?.some((test) => new RegExp(name).test(test.name))),
  );
  const fault = missing.length ? `no test is called ${missing.join(', nor ')}` : undefined;
  return { tests: all.flat(), output, fault: result.fault ?? fault };
}

/** Runs tests in one process, which is started once: starting is what takes longest. */
function testing(
  { files, names = [], except = [], backend, watching, imported }: Selection,
  index: number,
  timeout: number,
): string {
  const options = [
    ...['--test', '--test-isolation=none', `--test-timeout=${timeout}`, '--test-force-exit'],
    ...['--test-reporter=./test/kernels/results.ts', `--test-reporter-destination=/run/vm/tests.${index}`],
    ...names.map((name) => `--test-name-pattern='${name}'`),
    ...except.map((name) => `--test-skip-pattern='${name}'`),
  ];
  const chosen = [
    ...(backend ? [`MCPSPY_TEST_BACKEND=${backend}`] : []),
    ...(watching ? [`MCPSPY_TEST_WATCHING=${watching}`] : []),
    ...(imported ? [`MCPSPY_TEST_FILES=${imported}`] : []),
  ];
  return [...chosen, 'scripts/node.sh', ...options, ...files].join(' ');
}
