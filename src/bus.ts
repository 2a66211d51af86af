// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import type { BusEvents } from './mcp/events.ts';

/** The typed event bus that views, outputs, stores and findings subscribe to. Delivery is synchronous and in order. */
export class Bus extends EventEmitter<BusEvents> {}
