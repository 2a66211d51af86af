// SPDX-License-Identifier: Apache-2.0
/** IP addresses as text. */

/** `AF_INET` and `AF_INET6` of Linux. */
const INET = 2;
const INET6 = 10;

/** The address at `at`, IPv6 in the form of RFC 5952; `undefined` for another family. */
export function formatIp(bytes: Buffer, at: number, family: number): string | undefined {
  if (family === INET) return bytes.subarray(at, at + 4).join('.');
  if (family !== INET6) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(at + 2 * index));
  const { start, length } = longestZeros(groups);
  const text = groups.map((group) => group.toString(16));
  if (length < 2) return text.join(':');
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`;
}

/** RFC 5952, section 4.2: the longest run of zero groups is shortened, the first of equals. */
function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
