// SPDX-License-Identifier: Apache-2.0
/**
 * Which request a response answers: the oldest one that has no answer yet (RFC 9112, section 9.3). HTTP/1 has no
 * numbers for that, so after a loss it has to be inferred from the order in which things were seen.
 */

/** A request whose response has not begun. */
export interface AwaitedResponse {
  readonly exchange: number;
  readonly method: string;
  /** Protocols of its Upgrade field, or `undefined`. */
  readonly upgrade: string | undefined;
}

/** Requests known one by one. Of those pipelined beyond that only the number is kept. */
export const AWAITED_MAX = 4096;

/**
 * Once response bytes were lost, or passed without being understood, the answers to the requests that were waiting
 * may have been among them: these requests are in doubt. A client that does not pipeline sends the next request only
 * after the answer, so a new request shows that an older one in doubt has been answered unseen. With several in
 * doubt it cannot be known which one an answer belongs to: it then belongs to none.
 */
export class AwaitedResponses {
  readonly #unanswered: (exchange: number) => void;
  readonly #awaited: AwaitedResponse[] = [];
  /** Requests after those. */
  #beyond = 0;
  /** The newest exchange of a request. */
  #newest = 0;
  /** Up to this exchange, the response may have been lost; or may have passed without being understood. */
  #perhapsLost = 0;
  #perhapsPassed = 0;

  /** @param unanswered Takes the exchanges whose response will not be seen, or not be known as theirs. */
  constructor(unanswered: (exchange: number) => void) {
    this.#unanswered = unanswered;
  }

  /** A request follows: those in doubt must have been answered. */
  settle(): void {
    this.#dropDoubtful();
  }

  /** The head of a request is complete. */
  add(request: AwaitedResponse): void {
    this.#newest = request.exchange;
    if (this.#beyond === 0 && this.#awaited.length < AWAITED_MAX) {
      this.#awaited.push(request);
    } else {
      this.#beyond++;
      this.#unanswered(request.exchange);
    }
  }

  /**
   * The first byte of a response comes.
   * @param newest The newest exchange at that time: a request after it is not what is answered.
   * @returns `undefined` when it is not known what is.
   */
  take(newest: number): AwaitedResponse | undefined {
    if (this.#awaited.length > 1 && this.#dropDoubtful()) return undefined;
    const [first] = this.#awaited;
    if (first) return first.exchange <= newest ? this.#awaited.shift() : undefined;
    if (this.#beyond > 0) this.#beyond--;
    return undefined;
  }

  /**
   * A response is joined in the middle.
   * @returns The request that it must answer because its beginning was lost; `undefined` if that is not certain.
   */
  takeBegun(): AwaitedResponse | undefined {
    const [first] = this.#awaited;
    return first && this.#awaited.length === 1 && first.exchange <= this.#perhapsLost
      ? this.#awaited.shift()
      : undefined;
  }

  /** The beginning of the response to what `take` returned last was lost: perhaps it comes again, after a 1xx. */
  putBack(request: AwaitedResponse): void {
    this.#awaited.unshift(request);
  }

  /** Is the response to this one still to begin? */
  has(exchange: number): boolean {
    return this.#awaited.some((each) => each.exchange === exchange);
  }

  /** Bytes of the responses' direction are missing, and with them perhaps whole messages. */
  lost(): void {
    this.#perhapsLost = this.#newest;
  }

  /** Bytes of the responses' direction passed and were not understood. */
  passed(): void {
    this.#perhapsPassed = this.#newest;
  }

  /** No response comes any more. */
  clear(): void {
    while (this.#awaited.length > 0) this.#drop();
    this.#beyond = 0;
  }

  /** @returns Whether there were any. */
  #dropDoubtful(): boolean {
    const limit = Math.max(this.#perhapsLost, this.#perhapsPassed);
    let dropped = false;
    for (let first = this.#awaited[0]; first && first.exchange <= limit; first = this.#awaited[0]) {
      this.#drop();
      dropped = true;
    }
    if (dropped) this.#beyond = 0;
    return dropped;
  }

  #drop(): void {
    const request = this.#awaited.shift();
    if (request) this.#unanswered(request.exchange);
  }
}
