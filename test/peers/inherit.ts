// SPDX-License-Identifier: Apache-2.0
/** What npx does: starts the real server on its own standard streams and waits. */
import { spawn } from 'node:child_process';

const [command = '', ...args] = process.argv.slice(2);
spawn(command, args, { stdio: 'inherit' }).once('exit', (code) => process.exit(code ?? 1));
