#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All checks and tests; the last line counts them. `sh scripts/test.sh PATTERN…` runs some files only.
cd "$(dirname "$0")/.."
failed=0
if [ $# -eq 0 ]; then
  node_modules/.bin/tsc -p tsconfig.json || failed=1
  node_modules/.bin/biome check --error-on-warnings . || failed=1
  # Not the rest of those in a VM: they have a command of their own.
  set -- 'src/**/*.test.ts' 'test/cli/*.test.ts' 'test/e2e/*.test.ts' 'fuzz/**/*.test.ts' 'test/kernels/amd64.test.ts'
fi
sh scripts/node.sh --test --test-concurrency=1 --import=./test/support/seed.ts --test-reporter=./test/support/reporter.ts "$@" || failed=1
exit $failed
