#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds dist/: the BPF objects for both architectures, and the JavaScript.
# A build that fails leaves the one before in place.
set -eu
cd "$(dirname "$0")/.."
new=$(mktemp -d dist.XXXXXX)
trap 'rm -rf "$new"' EXIT
mkdir "$new/bpf"
for arch in x86 arm64; do
  clang -g -O2 -target bpf -mcpu=v3 -Wall -Werror "-D__TARGET_ARCH_$arch" -Ibpf \
    -c bpf/mcpspy.bpf.c -o "$new/bpf/mcpspy-$arch.bpf.o"
  # DWARF out, BTF stays.
  llvm-strip -g "$new/bpf/mcpspy-$arch.bpf.o"
done
node_modules/.bin/tsc -p tsconfig.build.json --outDir "$new"
chmod 755 "$new"
rm -rf dist
mv "$new" dist
