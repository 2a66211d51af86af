// SPDX-License-Identifier: Apache-2.0
/**
 * Loaded before the tests: in CI the properties are tried on the same examples each time, so that a run says something
 * of the change and nothing of the day. Elsewhere, and by `npm run fuzz`, they are tried on new ones.
 */
import fc from 'fast-check';

if (process.env['CI']) fc.configureGlobal({ seed: 20_261_127 });
