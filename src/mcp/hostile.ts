// SPDX-License-Identifier: Apache-2.0
/** Reading parsed JSON that anybody may have written: own properties only, whatever their type. */

/** The value of an own property; `undefined` when there is none, or `value` is no object. */
export function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}
