// SPDX-License-Identifier: Apache-2.0
/** Calls of the kernel that take long, made off the event loop, however many there are. */

/** So many at once: they wait for the same thing and may do so together. koffi takes 256 (`max_async_calls`) and throws beyond. */
const AT_ONCE = 64;

const waiting: ((done: () => void) => void)[] = [];
const idlers: (() => void)[] = [];
let running = 0;

/** Has `call` made soon. It tells by its argument when it is done. */
export function offLoop(call: (done: () => void) => void): void {
  waiting.push(call);
  next();
}

/** Resolves when all of them have been made. */
export function allDone(): Promise<void> {
  if (running === 0) return Promise.resolve();
  return new Promise((resolve) => idlers.push(resolve));
}

function next(): void {
  if (running === AT_ONCE) return;
  const call = waiting.shift();
  if (call) begin(call);
  else if (running === 0) for (const resolve of idlers.splice(0)) resolve();
}

function begin(call: (done: () => void) => void): void {
  running++;
  call(() => {
    running--;
    next();
  });
}
