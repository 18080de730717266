/** `burrow relay` as a unit runs it: the client in one file, which scripts/bundle.mjs makes first. */
import { mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { relayEnvironment, relayNodeFlags } from '../appliance/near-end/use/relay-units.ts'
import { user, writeNetrc } from './burrow.ts'
import { type Endpoint, request } from './cache.ts'
import { runCommand, startChild, stopChild } from './children.ts'
import { findFreePort, waitUntil } from './ports.ts'
import { projectDir, workDir } from './work-dir.ts'

export interface RunningRelay extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly secondsToFirstAnswer: number
}

export async function makeClientProgram(): Promise<void> {
  await runCommand(process.execPath, ['scripts/bundle.mjs', 'client'], { cwd: projectDir })
}

/** On a machine whose Nix store is empty. `firstPath`: asked for until there is an answer. */
export async function openRelay(farEnd: Endpoint, firstPath: string): Promise<RunningRelay> {
  const port = await findFreePort()
  const home = join(workDir, 'relay-home')
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const log = openSync(join(workDir, 'relay.log'), 'w')
  const netrc = writeNetrc()
  const started = performance.now()
  const child = startChild(
    process.execPath,
    [
      ...relayNodeFlags,
      join(projectDir, 'dist/bundles/client.mjs'),
      'relay',
      ...['--to', `http://${farEnd.host}:${farEnd.port}`],
      ...['--netrc-file', netrc],
      ...['--listen', `127.0.0.1:${port}`],
    ],
    {
      cwd: home,
      env: { PATH: process.env.PATH, HOME: home, NIX_STATE_DIR: home, ...relayEnvironment },
      stdio: ['ignore', log, log],
    },
  )
  const endpoint: Endpoint = {
    label: `relay of ${user.name}`,
    host: '127.0.0.1',
    port,
    prefix: '',
    authorization: undefined,
    pid: child.pid ?? 0,
  }
  await waitUntil('the relay (see bench/.work/relay.log)', child, () => askFor(endpoint, firstPath), 4)
  return {
    endpoint,
    secondsToFirstAnswer: (performance.now() - started) / 1_000,
    [Symbol.asyncDispose]: () => stopChild(child),
  }
}

async function askFor(endpoint: Endpoint, path: string): Promise<void> {
  const response = await request(endpoint, path)
  for await (const _ of response);
  if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`)
}
