// SPDX-License-Identifier: Apache-2.0
/**
 * Events of event streams that a client gets again when it resumes (Streamable HTTP 2025-03-26 to 2025-11-25,
 * Resumability and Redelivery): they are not sent anew, only once more.
 */

import { hash } from 'node:crypto';
import { keepYoungest } from '../youngest.ts';

/** Events remembered for a conversation; the oldest are forgotten first. */
export const EVENTS_MAX = 4096;
/** Longer ids are not remembered: nobody sends them back in a header. */
const ID_MAX = 1024;

export class Replay {
  /** By id and content: the exchange that carried the event first. */
  readonly #seen = new Map<string, number>();
  /** By id: the exchange whose event stream it belongs to. */
  readonly #origins = new Map<string, number>();

  /**
   * Notes an event, and answers whether it was seen before, with this id and this content, on another exchange.
   * @param exchange The exchange that carries it.
   * @param origin The one whose event stream that goes on with, or the same.
   * @param resumes May this exchange replay? Only then is anything a repetition.
   */
  isRepeated(
    id: string,
    content: string | Buffer,
    exchange: number,
    origin: number,
    resumes: boolean,
  ): boolean {
    if (id === '' || id.length > ID_MAX) return false;
    const key = `${id}\n${hash('sha1', content, 'base64')}`;
    const first = this.#seen.get(key);
    if (resumes && first !== undefined && first !== exchange) return true;
    remember(this.#seen, key, exchange);
    this.note(id, origin);
    return false;
  }

  /** An event without a message, as the one that only tells an id to resume from. */
  note(id: string, origin: number): void {
    if (id !== '' && id.length <= ID_MAX) remember(this.#origins, id, origin);
  }

  /** The exchange on whose event stream this id was given. */
  originOf(id: string): number | undefined {
    return this.#origins.get(id);
  }
}

function remember(map: Map<string, number>, key: string, value: number): void {
  map.delete(key);
  map.set(key, value);
  keepYoungest(map, EVENTS_MAX);
}
