// A Tailrace of the test's own: a real nats-server, gateway and workers, run by stack_server.py.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const python = process.env.TAILRACE_PYTHON ?? path('../../.venv/bin/python');
const STOP_PATIENCE_MS = 30_000;

export class Stack {
  #child;
  #answers;

  constructor(spec = {}) {
    const args = [path('stack_server.py'), path('../support'), JSON.stringify(spec)];
    this.#child = spawn(python, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** The gateway's URL. */
  async gateway(settings = {}) {
    return (await this.#tell({ start: 'gateway', ...settings })).url;
  }

  /** The worker's name, once it serves. */
  async worker(settings = {}) {
    return (await this.#tell({ start: 'worker', ...settings })).name;
  }

  async kill(name) {
    await this.#tell({ kill: name });
  }

  /** Ends every process of the stack: the launcher stops them when its input ends. */
  async stop() {
    if (this.#child.exitCode !== null) return;
    const exit = once(this.#child, 'exit');
    const impatience = setTimeout(() => this.#child.kill(), STOP_PATIENCE_MS);
    this.#child.stdin.end();
    await exit;
    clearTimeout(impatience);
  }

  async #tell(command) {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    const { value, done } = await this.#answers.next();
    assert.ok(!done, `the stack is gone; it was told ${JSON.stringify(command)}`);
    return JSON.parse(value);
  }
}

/** The events of a stream as a strict browser-like reader sees them, over plain fetch. */
export async function readEvents(url, headers = {}) {
  const response = await fetch(url, { headers });
  const events = [];
  if (response.status !== 200) return { status: response.status, events };
  const body = await response.text();
  let event = { data: [] };
  for (const line of body.split('\n')) {
    if (line === '') {
      if (event.data.length > 0) events.push({ ...event, data: event.data.join('\n') });
      event = { data: [] };
    } else if (!line.startsWith(':')) {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line);
      if (name === 'data') event.data.push(value);
      else event[name] = value;
    }
  }
  return { status: 200, events };
}
