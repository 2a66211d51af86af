#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The main job on a real conversation: the official SDK's client and the official
# server-everything, watched from the kernel.
cd "$(dirname "$0")/.."
output=$(mktemp -d)/demo.jsonl
echo "mcpspy run -o $output -- node demo/client.ts" >&2
bin/mcpspy run -o "$output" -- scripts/node.sh demo/client.ts
code=$?
[ -s "$output" ] && echo "Every message, whole: $output ($(wc -l <"$output") lines)" >&2
exit $code
