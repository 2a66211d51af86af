#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds the peers and prints the table.
set -eu
cd "$(dirname "$0")/.."
peers=$(mktemp -d)
trap 'rm -rf "$peers"' EXIT
chmod 755 "$peers"
gcc -O2 -pthread -o "$peers/load" bench/peers/load.c
gcc -O2 -o "$peers/calls" bench/peers/calls.c
gcc -O2 -o "$peers/streams" bench/peers/streams.c
sh scripts/node.sh bench/run.ts "$peers" "$@"
