/** `burrow relay` as a user starts it, in front of a Burrow or of a line to one. */
import { mkdirSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { writeNetrc } from './burrow.ts'
import { type Endpoint, request } from './cache.ts'
import { startChild, stopChild } from './children.ts'
import { findFreePort, waitUntil } from './ports.ts'
import { projectDir, workDir } from './work-dir.ts'

export interface BenchRelay extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly pid: number
}

/** `farPort`: of the cache, or of the line to it; on loopback. It sees no Nix store of this machine. */
export async function openBenchRelay(farPort: number): Promise<BenchRelay> {
  const port = await findFreePort()
  const home = join(workDir, 'relay')
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const log = openSync(join(workDir, 'relay.log'), 'w')
  const args = ['relay', '--to', `http://127.0.0.1:${farPort}`, '--netrc-file', writeNetrc()]
  const child = startChild(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'appliance/program.ts', ...args, '--listen', `127.0.0.1:${port}`],
    {
      cwd: projectDir,
      stdio: ['ignore', log, log],
      env: { PATH: process.env.PATH, HOME: home, NIX_STATE_DIR: join(home, 'no-store') },
    },
  )
  const pid = child.pid ?? 0
  const endpoint: Endpoint = { label: 'relay', host: '127.0.0.1', port, prefix: '', authorization: undefined, pid }
  const ask = async () => {
    const response = await request(endpoint, '/nix-cache-info')
    for await (const _ of response);
  }
  await waitUntil('the relay (see bench/.work/relay.log)', child, ask, 4)
  return { endpoint, pid, [Symbol.asyncDispose]: () => stopChild(child) }
}
