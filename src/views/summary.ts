// SPDX-License-Identifier: Apache-2.0
import type {
  CallStatistics,
  Party,
  Repeats,
  ServerStatistics,
  Summary,
  UndecodedTls,
} from '../mcp/events.ts';
import type { LossCause } from '../streams/frame.ts';
import { escapeControl } from './escape.ts';
import { formatBytes, formatCount, formatDuration, formatEndpoint, LOSS_WORDS } from './format.ts';

/** Rows of one table; the file has them all. */
const MAX_ROWS = 40;
/** Characters of a name. */
const MAX_NAME = 48;

/** The exit summary as text for a terminal; ends with a line end. */
export function formatSummaryText(summary: Summary): string {
  const sections = [
    overview(summary),
    callTable('method', summary.methods),
    callTable('tool', summary.tools),
    serverTable(summary.servers),
    undecodedText(summary.undecoded ?? []),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

function overview(summary: Summary): string {
  const total = Object.values(summary.frames).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(summary.frames)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${formatCount(count)} ${escapeControl(kind)}`);
  const states = [
    [summary.pending, 'without an answer'],
    [summary.cancelled, 'cancelled'],
    [summary.orphans, 'answered without having been seen'],
  ] as const;
  const odd = states.filter(([count]) => count > 0).map(([count, words]) => `${formatCount(count)} ${words}`);
  const lines = [
    `captured  ${formatCount(total)} frames, ${formatBytes(summary.bytes)} in ${formatDuration(summary.seconds * 1000)}`,
  ];
  if (summary.backend !== undefined) lines.push(`back end  ${escapeControl(summary.backend)}`);
  if (kinds.length > 0) lines.push(`frames    ${kinds.join(', ')}`);
  if (odd.length > 0) lines.push(`requests  ${odd.join(', ')}`);
  if (summary.repeats) lines.push(...repeatLines(summary.repeats));
  lines.push(...lossLines(summary));
  return lines.join('\n');
}

function repeatLines({ replayed, bothEnds }: Repeats): string[] {
  const kinds = [
    [replayed, 'sent again to a client that resumed'],
    [bothEnds, 'seen at both ends of TLS'],
  ] as const;
  const some = kinds.filter(([count]) => count > 0).map(([count, words]) => `${formatCount(count)} ${words}`);
  return some.length > 0 ? [`repeats   ${some.join(', ')}; shown once`] : [];
}

function lossLines({ losses, unseen }: Summary): string[] {
  const lines: string[] = [];
  for (const [cause, loss] of Object.entries(losses)) {
    if (loss.bytes === 0 && loss.records === 0 && loss.frames === 0) continue;
    const words = LOSS_WORDS[cause as LossCause] ?? escapeControl(cause);
    const amount = `${formatCount(loss.bytes)} bytes, ${formatCount(loss.records)} records, ${formatCount(loss.frames)} frames`;
    lines.push(`lost      ${amount}: ${words}`);
  }
  if (unseen) {
    const amount = `${formatBytes(unseen.bytes)}, all of ${formatCount(unseen.streams)} ${unseen.streams === 1 ? 'stream' : 'streams'}`;
    lines.push(`unseen    ${amount}: lost before it was known what it is`);
  }
  return lines.length > 0 ? lines : ['lost      nothing was lost'];
}

function callTable(title: string, calls: readonly CallStatistics[]): string {
  if (calls.length === 0) return '';
  const rows = calls
    .slice(0, MAX_ROWS)
    .map((row) => [
      escapeControl(row.name, MAX_NAME),
      formatCount(row.calls),
      formatCount(row.errors),
      duration(row.p50),
      duration(row.p95),
      duration(row.max),
    ]);
  return table([[title, 'calls', 'errors', 'p50', 'p95', 'max'], ...rows], 1) + more(calls.length);
}

function duration(ms: number | undefined): string {
  return ms === undefined ? '-' : formatDuration(ms);
}

function serverTable(servers: readonly ServerStatistics[]): string {
  if (servers.length === 0) return '';
  const rows = servers
    .slice(0, MAX_ROWS)
    .map((row) => [
      partyName(row.server),
      formatEndpoint(row.server.endpoint),
      escapeControl(row.protocolVersion ?? '-', MAX_NAME),
      `${partyName(row.client)} ${formatEndpoint(row.client.endpoint)}`,
      formatCount(row.messages),
    ]);
  return table([['server', 'process', 'protocol', 'client', 'messages'], ...rows], 4) + more(servers.length);
}

function undecodedText(undecoded: readonly UndecodedTls[]): string {
  if (undecoded.length === 0) return '';
  const lines = undecoded.slice(0, MAX_ROWS).map(({ process, library, reason, connections, hosts }) => {
    const names = hosts.map((host) => escapeControl(host, MAX_NAME));
    const what = `${escapeControl(library, MAX_NAME)}: ${escapeControl(reason, 200)}`;
    const count = `${formatCount(connections)} ${connections === 1 ? 'connection' : 'connections'}`;
    return `  ${formatEndpoint(process)}  ${what}; ${count}${names.length > 0 ? ` to ${names.join(', ')}` : ''}`;
  });
  return `TLS that could not be read:\n${lines.join('\n')}${more(undecoded.length)}`;
}

function partyName({ name, version }: Party): string {
  return `${escapeControl(name ?? '?', MAX_NAME)}${version === undefined ? '' : ` ${escapeControl(version, 20)}`}`;
}

function more(count: number): string {
  return count > MAX_ROWS ? `\nand ${formatCount(count - MAX_ROWS)} more` : '';
}

/** Columns as wide as their widest cell, from `firstNumber` on flush right. */
function table(rows: readonly (readonly string[])[], firstNumber: number): string {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, lengthOf(cell));
    });
  const align = (cell: string, column: number): string => {
    const padding = ' '.repeat((widths[column] ?? 0) - lengthOf(cell));
    return column < firstNumber ? cell + padding : padding + cell;
  };
  return rows.map((row) => row.map(align).join('  ').trimEnd()).join('\n');
}

function lengthOf(text: string): number {
  return [...text].length;
}
