// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

/** From package.json, which lies at the same distance from src/ and from dist/. */
export const VERSION: string = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
).version;
