// SPDX-License-Identifier: Apache-2.0
/** Where the sensor's process begins. Why it cannot be loaded the monitor tells, which needs the same. */
import { stat } from 'node:fs/promises';

/**
 * Threads that wait for the kernel, as it does for each probe that is taken out, so that many do together (libuv,
 * docs/src/threadpool.rst). They are made with the first use; the watched command is to have its own value.
 */
const THREADS = '32';
const { UV_THREADPOOL_SIZE: own } = process.env;
process.env['UV_THREADPOOL_SIZE'] = THREADS;
await stat('/');
if (own === undefined) delete process.env['UV_THREADPOOL_SIZE'];
else process.env['UV_THREADPOOL_SIZE'] = own;

import('./main.ts').catch(() => process.exit(1));
