#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the Node the project uses: the machine's when it is new enough, else npm's.
root=$(dirname "$0")/..
case $(uname -m) in aarch64) cpu=arm64 ;; *) cpu=x64 ;; esac
exec "$root/node_modules/node-linux-$cpu/bin/node" "$@"
