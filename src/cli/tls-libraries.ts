// SPDX-License-Identifier: Apache-2.0
/** The check of `mcpspy doctor` that tells whose TLS can be read: of the processes that run now. */
import { allPids } from '../sensor/proc.ts';
import { surveyTls, type TlsOfProcess, type TlsSurvey } from '../sensor/tls-survey.ts';
import { nameOf } from '../streams/processes.ts';
import { escapeControl } from '../views/escape.ts';
import type { Check, Finding } from './checks.ts';

/** Lines of each kind on the terminal, and processes named in one. JSON has them all. */
const LINES_MAX = 30;
const NAMED_MAX = 6;

export const TLS_LIBRARIES: Check = {
  name: 'TLS libraries',
  try: async () => {
    const survey = await surveyTls(allPids().filter((pid) => pid !== process.pid));
    return tlsLibrariesFinding(survey, process.geteuid?.() === 0);
  },
};

interface Row {
  readonly pid: number;
  readonly comm: string;
  /** All that is to be said; those that say the same are put together. */
  readonly text: string;
}

export function tlsLibrariesFinding({ processes, looked, hidden }: TlsSurvey, asRoot: boolean): Finding {
  const named = ({ process: { pid, comm, exe } }: TlsOfProcess) => ({ pid, comm: nameOf(comm, exe), exe });
  const readable = processes.flatMap((each) => {
    const libraries = each.libraries.filter((library) => library.readable).map(({ library }) => library);
    return libraries.length ? [{ ...named(each), libraries }] : [];
  });
  const unreadable = processes.flatMap((each) =>
    each.libraries
      .filter((library) => !library.readable)
      .map(({ library, reason = '' }) => ({ ...named(each), library, reason })),
  );
  const unknown = processes.flatMap((each) =>
    each.unknown === undefined ? [] : [{ ...named(each), reason: each.unknown }],
  );
  const failing = new Set(unreadable.map(({ pid }) => pid)).size;
  const can = `TLS can be read in ${readable.length}, and cannot in ${failing}`;
  const detail = `of ${count(looked)} looked at, ${can}`;
  const extra = {
    lines: [
      ...lines(
        'can',
        readable.map((row) => ({ ...row, text: row.libraries.join(', ') })),
      ),
      ...lines(
        'cannot',
        unreadable.map((row) => ({ ...row, text: `${row.library}: ${row.reason}` })),
      ),
      ...lines(
        'not known',
        unknown.map((row) => ({ ...row, text: row.reason })),
      ),
    ],
    json: { tls: { looked_at: looked, hidden, readable, unreadable, unknown } },
  };
  if (!hidden) return { status: 'ok', detail, extra };
  if (asRoot) return { status: 'ok', detail: `${detail}; ${count(hidden)} may not be looked at`, extra };
  const others = `${count(hidden)} of other users may not be looked at`;
  return { status: 'warn', detail: `${detail}; ${others}`, fix: 'run it with sudo', extra };
}

/** One line for each thing to be said, with those of whom it is said; what is captured is escaped. */
function lines(title: string, rows: readonly Row[]): string[] {
  const groups = [...Map.groupBy(rows, ({ text }) => text)];
  const start = title.padEnd(9);
  const shown = groups.slice(0, LINES_MAX).map(([text, group]) => {
    const who = group.slice(0, NAMED_MAX).map(({ comm, pid }) => `${escapeControl(comm, 64)}[${pid}]`);
    if (group.length > NAMED_MAX) who.push(`and ${group.length - NAMED_MAX} more`);
    return `${start}  ${who.join(' ')}  ${escapeControl(text, 400)}`;
  });
  if (groups.length > LINES_MAX) shown.push(`${start}  … and ${groups.length - LINES_MAX} more`);
  return shown;
}

function count(processes: number): string {
  return `${processes} process${processes === 1 ? '' : 'es'}`;
}
