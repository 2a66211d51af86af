// SPDX-License-Identifier: Apache-2.0
/** Where the sensor's process begins. Why it cannot be loaded the monitor tells, which needs the same. */
import('./main.ts').catch(() => process.exit(1));
