// SPDX-License-Identifier: Apache-2.0
/** Servers and clients of HTTP (test/peers/http-stage.ts) under `mcpspy run`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Stage } from '../peers/http-stage.ts';
import { HttpTruth } from './http-truth.ts';
import { type CaptureOptions, type CaptureResult, captureRun, NODE, ROOT, scratch } from './mcpspy.ts';
import { PYTHON } from './truth.ts';

export type { Stage } from '../peers/http-stage.ts';

/** Has OpenSSL 1.1.1 inside, and functions of it for add-ons. */
export const NODE16 = join(ROOT, `test/peers/openssl-1.1/node_modules/node-linux-${process.arch}/bin/node`);

const peer = (name: string) => join(ROOT, 'test', 'peers', name);
const SDK_SERVER = [NODE, peer('http-sdk-server.ts')];
const SDK_CLIENT = [NODE, peer('http-sdk-client.ts')];

export const EVERYTHING = join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');

/** The command that performs these steps. */
export function stageCommand(truth: HttpTruth, steps: readonly Stage[]): string[] {
  const script = join(truth.directory, 'stage.json');
  writeFileSync(script, JSON.stringify(steps));
  return [NODE, peer('http-stage.ts'), script];
}

/** Performs these steps under `mcpspy run`. */
export async function perform(
  steps: readonly Stage[],
  given: CaptureOptions = {},
  truth = new HttpTruth(),
): Promise<{ capture: CaptureResult; truth: HttpTruth }> {
  const capture = await captureRun(stageCommand(truth, steps), {
    timeout: 60_000,
    ...given,
    env: { ...truth.env, ...given.env },
  });
  return { capture, truth };
}

/** A key, and a certificate for this machine signed with it. */
export interface Certificate {
  readonly key: string;
  readonly certificate: string;
  /** For servers that use it and clients that trust it. */
  readonly env: Readonly<Record<'TLS_CERT' | 'TLS_KEY' | 'NODE_EXTRA_CA_CERTS', string>>;
}

/** Made anew with the openssl command; gone with the test file. */
export function makeCertificate(): Certificate {
  const directory = scratch();
  const [key, certificate] = [join(directory, 'key.pem'), join(directory, 'certificate.pem')];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1';
  const openssl = spawnSync(
    'openssl',
    [
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', '/CN=localhost', '-addext', names, '-keyout', key, '-out', certificate],
    ],
    { encoding: 'utf8' },
  );
  assert.equal(openssl.status, 0, openssl.stderr);
  return {
    key,
    certificate,
    env: { TLS_CERT: certificate, TLS_KEY: key, NODE_EXTRA_CA_CERTS: certificate },
  };
}

type Env = Readonly<Record<string, string>>;

/** The SDK's server at port {server}. `mode`: see test/peers/http-sdk-server.ts. */
export function sdkServer(mode: string, env: Env = {}): Stage {
  const listens = `${env['HOST'] ?? '127.0.0.1'}:{server}`;
  return { start: [...SDK_SERVER, mode], listens, env: { PORT: '{server}', ...env } };
}

/** server-everything at port {server}; `mode`: `streamableHttp` or `sse`. */
export function everythingServer(mode: string): Stage {
  return { start: [NODE, EVERYTHING, mode], listens: '{server}', env: { PORT: '{server}' } };
}

/** The SDK's client. `steps`: see test/peers/http-sdk-client.ts. */
export function sdkClient(url: string, steps: string, env: Env = {}, more: readonly string[] = []): Stage {
  return { run: [...SDK_CLIENT, url, steps, ...more], env };
}

/** The server on node:http alone at port {server}. */
export function plainServer(version: 'http1' | 'http2' = 'http1', env: Env = {}): Stage {
  const start = [NODE, peer('http-server.ts'), version];
  return { start, listens: env['SOCKET'] ?? '{server}', env: { PORT: '{server}', ...env } };
}

/** The client on `fetch` alone; `amount`: of whatever the scenario is about. */
export function fetchClient(scenario: string, amount = 1, env: Env = {}): Stage {
  const url = `http${env['TLS_CERT'] ? 's' : ''}://127.0.0.1:{server}/mcp`;
  return { run: [NODE, peer('http-fetch-client.ts'), url, scenario, String(amount)], env };
}

/** A peer in Python: http_server.py at port {server}, or a client. */
export function pythonServer(env: Env = {}): Stage {
  return { start: [PYTHON, peer('http_server.py')], listens: '{server}', env: { PORT: '{server}', ...env } };
}

export function pythonClient(
  name: 'http_client.py' | 'http_asyncio.py',
  where: string,
  env: Env = {},
): Stage {
  return { run: [PYTHON, peer(name), where], env };
}

/** Server and client on node:https in Node 16, whose OpenSSL is 1.1.1. */
export function oldNodeServer(env: Env): Stage {
  const start = [NODE16, peer('http-old-node.mjs'), 'server'];
  return { start, listens: '{server}', env: { PORT: '{server}', ...env, NODE_OPTIONS: '' } };
}

export function oldNodeClient(url: string, env: Env): Stage {
  return { run: [NODE16, peer('http-old-node.mjs'), 'client', url], env: { ...env, NODE_OPTIONS: '' } };
}

/** The client on node:http2. */
export function http2Client(url: string, env: Env = {}): Stage {
  return { run: [NODE, peer('http2-client.ts'), url], env };
}

/**
 * nginx at port {front}: ends TLS and HTTP/2, and passes on to {server} in clear.
 * @param directory For its configuration and what it writes.
 */
export function nginxFront(directory: string, { certificate, key }: Certificate): Stage[] {
  const file = join(directory, 'nginx.conf');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const content = `
    daemon off; worker_processes 1; user root; pid ${directory}/pid; error_log ${directory}/error.log;
    events { }
    http {
      access_log off; client_max_body_size 0;
      ${paths.map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
      upstream server { server 127.0.0.1:{server}; keepalive 4; }
      server {
        listen 127.0.0.1:{front} ssl http2;
        ssl_certificate ${certificate}; ssl_certificate_key ${key};
        location / {
          proxy_pass http://server; proxy_http_version 1.1; proxy_buffering off;
          proxy_set_header Connection '';
        }
      }
    }`;
  const start = ['/usr/sbin/nginx', '-c', file, '-e', join(directory, 'error.log')];
  return [
    { touch: file, content },
    { start, listens: '{front}', worker: 'nginx' },
  ];
}

/** Server and client of a WebSocket, at port {server}. */
export function websocketPair(): Stage[] {
  const script = peer('http-websocket.ts');
  return [
    { start: [NODE, script, 'server'], listens: '{server}', env: { PORT: '{server}' } },
    { run: [NODE, script, 'client', 'ws://127.0.0.1:{server}/mcp'] },
  ];
}
