// SPDX-License-Identifier: Apache-2.0
/** How long tests and their peers wait before they give something up. */

/** 1, or how much slower than a processor the machine is: an emulated one says so (test/kernels). */
const FACTOR = Number(process.env['MCPSPY_TEST_PATIENCE'] ?? 1);

/** Is it slower? */
export const isSlow = FACTOR > 1;

/** `milliseconds` of a machine of the usual speed. For limits only: what waits on purpose is not scaled. */
export const patience = (milliseconds: number): number => milliseconds * FACTOR;
