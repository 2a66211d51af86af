// SPDX-License-Identifier: Apache-2.0
/** The table that the benchmark prints: what, with which monitor, a figure, and what it means beside its twin. */
import { median } from './measure.ts';

export class Table {
  readonly #rows: string[][] = [];

  /** Shown on standard error at once. */
  row(...cells: string[]): void {
    this.#rows.push(cells);
    console.error(cells.join('  '));
  }

  /** All rows, as columns of equal width, on standard output. */
  print(): void {
    const widths: number[] = [];
    for (const cells of this.#rows)
      for (const [column, cell] of cells.entries())
        widths[column] = Math.max(widths[column] ?? 0, cell.length);
    for (const cells of this.#rows)
      console.log(
        cells
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
      );
  }
}

/** The median, and in brackets the least and the greatest where they differ: `86 us (84–91)`. */
export function spread(values: readonly number[], unit: string, digits = 0): string {
  const text = (value: number) => value.toFixed(digits);
  const [least, greatest] = [text(Math.min(...values)), text(Math.max(...values))];
  return `${text(median(values))} ${unit}${least === greatest ? '' : ` (${least}–${greatest})`}`;
}

/** `x 0.83`: the median of these by the median of those. */
export function factor(values: readonly number[], of: readonly number[]): string {
  return `x ${(median(values) / median(of)).toFixed(2)}`;
}

/** `6.2 %`: by how much the median of these exceeds the median of those. */
export function excess(values: readonly number[], of: readonly number[]): string {
  return `${((median(values) / median(of) - 1) * 100).toFixed(1)} %`;
}
