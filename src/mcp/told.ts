// SPDX-License-Identifier: Apache-2.0
/**
 * What the two ends of a connection have told of one side of an exchange. Both decode the same clear text, so a
 * message has the same place at either end, however far one is behind the other, and gaps count along. An end that was
 * joined in the middle counts from another byte: there the content tells, until it has told how far apart the two are.
 */

/** Messages remembered by content, of an end that was joined in the middle or may meet one that was. */
export const REMEMBERED_MAX = 1024;
/** So many different messages in a row, all equally far apart at the two ends, tell how far that is. */
const AGREED = 8;
/** Pieces without a gap remembered of one end; the oldest are forgotten first. */
const PIECES_MAX = 256;

/** A message at one end. */
export interface Sighted {
  /** Number of the exchange, as the end that tells it knows it. */
  readonly exchange: number;
  /** Where it is in its stream; where that is not exact, how many came before it. */
  readonly place: number;
  /** How much of the stream had been lost by then: different numbers, a gap in between. */
  readonly losses: number;
  /** Is all of it there? */
  readonly whole: boolean;
  /** Can the other end be known by content only? Then it is remembered. */
  readonly remembered: boolean;
  /** Says exactly this content. Made when it is needed: it costs. */
  readonly print: () => string;
}

/** From the first message to the last, all told, without a gap. */
interface Piece {
  readonly from: number;
  to: number;
}

/** What one end has told. */
interface Account {
  readonly pieces: Piece[];
  losses: number;
  /** The messages that the other end has not told, as far as is known: oldest first. */
  readonly alone: { readonly print: string; readonly place: number }[];
}

export class Told {
  /** At most two, that of the end that was first to tell before the other. */
  readonly #accounts = new Map<number, Account>();
  /** Added to a place at the second end it is the one at the first; `undefined` while that is not known. */
  #apart: number | undefined;
  #agreed = { apart: Number.NaN, prints: new Set<string>() };

  /** Both ends have been followed from their first byte on. */
  align(): void {
    this.#apart = 0;
    this.#forgetContents();
  }

  /** Does one end tell this message, whose content is `print`, and the other one has not? */
  hasAlone(print: string): boolean {
    for (const { alone } of this.#accounts.values())
      if (alone.some((each) => each.print === print)) return true;
    return false;
  }

  /** What the other end has told until now, before it was known to be the other end. */
  join(other: Told): void {
    for (const [exchange, account] of other.#accounts)
      if (this.#accounts.size < 2) this.#accounts.set(exchange, account);
  }

  /** Notes a message. @returns whether the other end has told it. */
  isCopy(message: Sighted): boolean {
    const { exchange, place, whole, remembered } = message;
    const own = this.#accountOf(exchange);
    if (!own) return false;
    const other = this.#otherOf(exchange);
    const copy = other !== undefined && this.#hasTold(other, own, message);
    // Of what was cut by a gap, the other end may have all.
    if (whole || copy) cover(own, place, message.losses);
    else own.losses = Number.NaN;
    if (whole && !copy && remembered && this.#apart === undefined) {
      own.alone.push({ print: message.print(), place });
      if (own.alone.length > REMEMBERED_MAX) own.alone.shift();
    }
    return copy;
  }

  #hasTold(other: Account, own: Account, message: Sighted): boolean {
    if (this.#apart === undefined) return this.#isKnown(other, own, message);
    const place = message.place + (this.#isFirst(own) ? -this.#apart : this.#apart);
    return other.pieces.some(({ from, to }) => from <= place && place <= to);
  }

  /** By its content: both ends tell in the same order. */
  #isKnown(other: Account, own: Account, { print, place }: Sighted): boolean {
    const content = print();
    const at = other.alone.findIndex((each) => each.print === content);
    const found = other.alone[at];
    if (!found) return false;
    other.alone.splice(0, at + 1);
    const apart = this.#isFirst(own) ? place - found.place : found.place - place;
    if (apart !== this.#agreed.apart) this.#agreed = { apart, prints: new Set() };
    this.#agreed.prints.add(content);
    if (this.#agreed.prints.size < AGREED) return true;
    this.#apart = apart;
    this.#forgetContents();
    return true;
  }

  #accountOf(exchange: number): Account | undefined {
    let account = this.#accounts.get(exchange);
    if (!account && this.#accounts.size < 2) {
      account = { pieces: [], losses: Number.NaN, alone: [] };
      this.#accounts.set(exchange, account);
    }
    return account;
  }

  #otherOf(exchange: number): Account | undefined {
    for (const [each, account] of this.#accounts) if (each !== exchange) return account;
    return undefined;
  }

  #isFirst(account: Account): boolean {
    for (const first of this.#accounts.values()) return first === account;
    return false;
  }

  #forgetContents(): void {
    for (const account of this.#accounts.values()) account.alone.length = 0;
    this.#agreed.prints.clear();
  }
}

/** This end has told what is at this place. */
function cover(account: Account, place: number, losses: number): void {
  const { pieces } = account;
  const last = pieces.at(-1);
  if (last && account.losses === losses && last.to <= place) last.to = place;
  else {
    pieces.push({ from: place, to: place });
    if (pieces.length > PIECES_MAX) pieces.shift();
  }
  account.losses = losses;
}
