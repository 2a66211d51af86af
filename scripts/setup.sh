#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a fresh Debian 12 machine ready: Debian packages, npm packages, the build.
# Does only what is missing; with nothing to do it takes well under a second.
set -eu
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
fail() { echo "mcpspy: $*" >&2; exit 5; }

# What is looked for, and the package that brings it.
missing=
need() { [ -e "$1" ] || command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need clang clang
need llvm-strip llvm
need /usr/include/bpf/bpf_helpers.h libbpf-dev
need "/usr/lib/$(uname -m)-linux-gnu/libbpf.so.1" libbpf1
need setpriv util-linux
# For the tests and the benchmark: peers in C and Python, and what we compare with.
need gcc gcc
need /usr/include/stdio.h libc6-dev
need python3 python3
need strace strace
need wrk wrk
# For the tests of HTTP: real clients, a reverse proxy, certificates, GnuTLS.
need curl curl
need wget wget
need openssl openssl
need /usr/sbin/nginx nginx
need /usr/include/gnutls/gnutls.h libgnutls28-dev
need /usr/include/openssl/ssl.h libssl-dev
# TLS of other kinds: BoringSSL with symbols (in a folder of its own, which no program finds by itself), and Go.
need /usr/include/android/openssl/ssl.h android-libboringssl-dev
need gron gron
install() {
  say "installing$1"
  log=$(mktemp)
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $1; } >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2; return 1; }
  rm -f "$log"
}
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null 2>&1 || fail "set-up needs$missing and there is no apt-get here; install them by hand and run it again"
  [ "$(id -u)" = 0 ] || fail "set-up needs root once to install$missing; run \"sudo npm run setup\""
  install "$missing" || fail "could not install$missing; see $log"
fi

# Other kernels, in a VM, for the architectures named: `--kernels amd64,arm64`. Without them their tests are skipped.
kernels=
[ "${1:-}" != --kernels ] || [ "$(uname -m)" != x86_64 ] || kernels=$2
missing=
if [ -n "$kernels" ]; then
  need /usr/lib/qemu/virtiofsd qemu-system-common
  need busybox busybox-static
fi
case $kernels in *amd64*) need qemu-system-x86_64 qemu-system-x86 ;; esac
case $kernels in *arm64*) need qemu-system-aarch64 qemu-system-arm; need ld.lld lld ;; esac
if [ -n "$missing" ]; then
  { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && install "$missing"; } ||
    { say "could not install$missing; the tests in a VM will be skipped"; kernels=; }
fi

# No dependency needs an install script, and part of this runs as root.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  say "installing npm packages"
  # Not `npm ci`: it wants every platform's optional packages in the registry, which mirrors do not have.
  npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  touch node_modules/.package-lock.json
fi

if [ -n "$kernels" ]; then
  sh scripts/node.sh test/kernels/fetch.ts $(echo "$kernels" | tr , ' ') >&2 || say "could not fetch all kernels; the tests of those that are missing will be skipped"
fi

stamp=dist/.built
if [ ! -e $stamp ] || [ -n "$(find bpf src scripts/build.sh package.json tsconfig.json tsconfig.build.json -newer $stamp -print -quit)" ]; then
  say "building"
  sh scripts/build.sh
  touch $stamp
fi
