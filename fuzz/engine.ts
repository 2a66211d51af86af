// SPDX-License-Identifier: Apache-2.0
/**
 * Fuzzing with coverage feedback, in process. Inputs are made from those kept, run in batches, and the batches that
 * executed something new are run again one by one to find which input did. Each input is run twice, as it is and
 * with its calls cut anywhere; what comes out must be the same.
 */
import type { Coverage } from './coverage.ts';
import { type Input, sizeOf } from './input.ts';
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { cutter, type Target, uncut } from './target.ts';

/** Looking at the coverage costs as much as some hundred small executions. */
const BATCH = 512;
/** Bytes of an input: most faults need few, and short ones are quick. */
const SIZE_MAX = 1024;
/** Cuts are told by a number below this. */
const CUTS = 1 << 16;

export interface Trial {
  readonly input: Input;
  readonly cuts: number;
}

export interface Finding extends Trial {
  readonly what: string;
}

export interface Report {
  /** Inputs run; each is two runs of the decoder. */
  readonly executions: number;
  readonly corpus: number;
  /** Characters of the decoder's source that were executed. */
  readonly covered: number;
  /** Files that the target is to reach, and of which no function was called; none when coverage is not looked at. */
  readonly unreached: readonly string[];
  readonly finding: Finding | undefined;
}

/** One input, whole and cut. @returns what is wrong with it. */
export async function check(target: Target, { input, cuts }: Trial): Promise<string | undefined> {
  try {
    const whole = await target.run(input, uncut);
    const cut = await target.run(input, cutter(cuts));
    if (target.same ? target.same(whole, cut) : whole === cut) return undefined;
    return `depends on how it is cut: ${difference(whole, cut)}`;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

function difference(whole: string, cut: string): string {
  const [a, b] = [whole.split('\n'), cut.split('\n')];
  const at = a.findIndex((line, n) => line !== b[n]);
  const place = at < 0 ? a.length : at;
  const show = (lines: readonly string[]) => JSON.stringify(lines[place]?.slice(0, 300) ?? 'nothing');
  return `line ${place} is ${show(a)} whole and ${show(b)} cut`;
}

export class Engine {
  readonly #target: Target;
  readonly #coverage: Coverage | undefined;
  readonly #random: Random;
  readonly #corpus: Input[];
  #executions = 0;
  /** Called before each execution, so that one that never ends can be told. */
  readonly #begin: (trial: Trial) => void;

  /** @param coverage Has been watching since before the target was loaded; without it, all inputs are made of seeds. */
  constructor(
    target: Target,
    coverage: Coverage | undefined,
    seed: number,
    begin: (trial: Trial) => void = () => {},
  ) {
    this.#target = target;
    this.#coverage = coverage;
    this.#random = new Random(seed);
    this.#corpus = [...target.seeds()];
    this.#begin = begin;
  }

  /** Runs so many inputs, or until something is found. */
  async run(executions: number): Promise<Report> {
    let finding = await this.#seeds();
    while (!finding && this.#executions < executions) finding = await this.#batch();
    const smallest = finding && (await this.#shrink(finding));
    return {
      executions: this.#executions,
      corpus: this.#corpus.length,
      covered: this.#coverage?.size ?? 0,
      unreached: this.#coverage?.unreached ?? [],
      finding: smallest,
    };
  }

  async #seeds(): Promise<Finding | undefined> {
    for (const input of this.#corpus) {
      const trial = { input, cuts: this.#random.below(CUTS) };
      const finding = (await this.#try(trial)) ?? (await this.#measure(trial));
      if (finding) return finding;
    }
    return undefined;
  }

  async #batch(): Promise<Finding | undefined> {
    const trials: Trial[] = [];
    for (let n = 0; n < BATCH; n++) {
      const input = mutate(
        this.#choose(),
        this.#random,
        this.#target.tokens,
        this.#corpus,
        this.#target.maxSize ?? SIZE_MAX,
      );
      trials.push({ input, cuts: this.#random.below(CUTS) });
      const finding = await this.#try(trials[n] as Trial);
      if (finding) return finding;
    }
    if (!this.#coverage?.take().fresh) return undefined;
    this.#coverage.forget();
    return this.#keepFresh(trials);
  }

  /** The newest have had the fewest chances. */
  #choose(): Input {
    const { length } = this.#corpus;
    if (length > 8 && this.#random.once(3)) return this.#corpus[length - 1 - this.#random.below(8)] as Input;
    return this.#random.pick(this.#corpus);
  }

  /** Which of them were new? By halves: a look at the coverage costs more than the runs. */
  async #keepFresh(trials: readonly Trial[]): Promise<Finding | undefined> {
    for (const trial of trials) {
      this.#begin(trial);
      await check(this.#target, trial);
    }
    const { fresh = 0, steps = 0 } = this.#coverage?.take() ?? {};
    const [first] = trials;
    if (fresh === 0 || !first) return undefined;
    if (trials.length === 1) {
      this.#corpus.push(first.input);
      return this.#tooManySteps(first, steps);
    }
    this.#coverage?.forget();
    const middle = trials.length >> 1;
    return (await this.#keepFresh(trials.slice(0, middle))) ?? this.#keepFresh(trials.slice(middle));
  }

  async #measure(trial: Trial): Promise<Finding | undefined> {
    if (!this.#coverage) return undefined;
    this.#coverage.take();
    await check(this.#target, trial);
    return this.#tooManySteps(trial, this.#coverage.take().steps);
  }

  #tooManySteps(trial: Trial, steps: number): Finding | undefined {
    const { perByte, base } = this.#target.steps;
    const { input } = trial;
    const allowed = 2 * (base * (1 + input.calls.length) + perByte * sizeOf(input));
    return steps > allowed ? { ...trial, what: `${steps} steps for ${sizeOf(input)} bytes` } : undefined;
  }

  async #try(trial: Trial): Promise<Finding | undefined> {
    this.#executions++;
    this.#begin(trial);
    const what = await check(this.#target, trial);
    return what === undefined ? undefined : { ...trial, what };
  }

  /** Takes away what is not needed to fail in the same way. */
  async #shrink(finding: Finding): Promise<Finding> {
    const kind = (what: string) => what.replaceAll(/\d+/g, '#').slice(0, 40);
    let smallest = finding;
    const better = async (input: Input): Promise<boolean> => {
      const what = await check(this.#target, { input, cuts: smallest.cuts });
      if (what === undefined || kind(what) !== kind(finding.what)) return false;
      smallest = { input, cuts: smallest.cuts, what };
      return true;
    };
    for (let again = true, rounds = 0; again && rounds < 20; rounds++) {
      again = false;
      for (let n = smallest.input.calls.length - 1; n >= 0; n--) {
        const { flags, calls } = smallest.input;
        again = (await better({ flags, calls: calls.toSpliced(n, 1) })) || again;
      }
      for (let n = 0; n < smallest.input.calls.length; n++)
        for (let size = smallest.input.calls[n]?.bytes.length ?? 0; size >= 1; size = Math.floor(size / 2))
          for (let at = 0; at < (smallest.input.calls[n]?.bytes.length ?? 0); at += size) {
            const { flags, calls } = smallest.input;
            const call = calls[n];
            if (!call) break;
            const bytes = Buffer.concat([call.bytes.subarray(0, at), call.bytes.subarray(at + size)]);
            again = (await better({ flags, calls: calls.toSpliced(n, 1, { ...call, bytes }) })) || again;
          }
    }
    return smallest;
  }
}
