// SPDX-License-Identifier: Apache-2.0
/** Hides what a command line gives as the value of a header that is masked in HTTP, too. */

/** `Authorization: Bearer abc`, `--header=Cookie:a=b`; the scheme stays. */
const HEADER =
  /((?:proxy-)?authorization|(?:set-)?cookie|mcp-session-id|(?:x-)?api-?key)(["']?\s*[:=]\s*["']?)(?:([a-z][a-z0-9-]{0,31}) +)?(?=\S).*/is;

/** For bridges such as mcp-remote and clients such as curl, which are told headers by argument. */
export function maskArguments(argv: readonly string[]): readonly string[] {
  return argv.map((argument) =>
    argument.replace(
      HEADER,
      (_, name: string, colon: string, scheme: string | undefined) =>
        `${name}${colon}${scheme === undefined ? '' : `${scheme} `}***`,
    ),
  );
}
