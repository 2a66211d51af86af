// SPDX-License-Identifier: Apache-2.0
/** Numbers and names as people read them; shared by the views. */
import type { Address, Endpoint, LossCause } from '../streams/frame.ts';
import { escapeControl } from './escape.ts';

const grouped = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

/** `12,345`. */
export function formatCount(value: number): string {
  return grouped.format(value);
}

/** `1 byte`, `12 bytes`, `1.5 KiB`, `64 MiB`: three significant digits from KiB on. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return bytes === 1 ? '1 byte' : `${bytes} bytes`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes / 1024;
  let unit = 0;
  // 1023.5 would be shown as 1024.
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${roundTo3(value)} ${units[unit]}`;
}

/** `0.35 ms`, `3.2 ms`, `101 ms`, `12.3 s`; two significant digits below 10 ms. */
export function formatDuration(ms: number): string {
  if (ms >= 9999.5) return `${roundTo3(ms / 1000)} s`;
  if (ms >= 9.95) return `${Math.round(ms)} ms`;
  return `${Number(ms.toPrecision(2))} ms`;
}

function roundTo3(value: number): number {
  return value >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}

const labels = new WeakMap<Endpoint, string>();

/** `python[12345]`, safe for the terminal; `?` when unknown. */
export function formatEndpoint(endpoint: Endpoint | undefined): string {
  if (endpoint === undefined) return '?';
  let label = labels.get(endpoint);
  if (label === undefined) {
    label = `${escapeControl(endpoint.comm)}[${endpoint.pid}]`;
    labels.set(endpoint, label);
  }
  return label;
}

/** `192.0.2.1:443`, `[2001:db8::1]:443` (RFC 3986, section 3.2.2). */
export function formatAddress({ ip, port }: Address): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Why bytes are missing, in words. */
export const LOSS_WORDS: Readonly<Record<LossCause, string>> = {
  'ring-full': 'ring full',
  unreadable: 'unreadable memory',
  'map-full': 'map full',
  splice: 'splice',
  io_uring: 'io_uring',
  compat: '32-bit system call',
  skipped: 'program left out by the kernel',
  joined: 'joined in the middle',
  stopped: 'copying had been stopped',
  unknown: 'unknown cause',
};
