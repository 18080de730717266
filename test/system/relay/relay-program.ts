/** `burrow relay` as a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import type { RelayStatus } from '../../../src/index.ts'
import type { NixFixture, ScratchStore } from '../../fixtures/nix.ts'

const main = fileURLToPath(new URL('../../../appliance/main.ts', import.meta.url))

export interface RelayProgram extends AsyncDisposable {
  readonly url: string
  readonly port: number
  readonly pid: number
  /** Standard output and error so far. */
  readonly output: string
  kill(signal: NodeJS.Signals): void
  readonly exited: Promise<number | null>
  status(): Promise<RelayStatus>
}

export interface RelayProgramOptions {
  readonly to: string
  readonly user?: string
  /** The store of this machine; by default an empty one. */
  readonly store?: ScratchStore
  /** 0 for any. */
  readonly port?: number
  readonly args?: readonly string[]
  /** Added to the environment. */
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves when it listens. */
export async function startRelay(nix: NixFixture, options: RelayProgramOptions): Promise<RelayProgram> {
  const { to, user = 'ci', store = await nix.openStore(), port = 0, args = [], env = {} } = options
  const home = await nix.makeDir('home')
  const passwordFile = join(home, 'password')
  await writeFile(passwordFile, 'secret\n', { mode: 0o600 })
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', main, 'relay', '--to', to, '--listen', `127.0.0.1:${port}`, ...args],
    {
      cwd: home,
      env: {
        PATH: process.env.PATH!,
        HOME: home,
        NIX_STATE_DIR: store.stateDir,
        BURROW_REAL_STORE_DIR: store.realStoreDir,
        BURROW_USER: user,
        BURROW_PASSWORD_FILE: passwordFile,
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  let output = ''
  const started = Promise.withResolvers<number>()
  const look = (chunk: string) => {
    output += chunk
    const found = / on http:\/\/127\.0\.0\.1:(\d+)\n/.exec(output)
    if (found !== null) started.resolve(Number(found[1]))
  }
  child.stdout.setEncoding('utf8').on('data', look)
  child.stderr.setEncoding('utf8').on('data', look)
  const exited = once(child, 'close').then(([code]) => code as number | null)
  exited.then((code) => started.reject(new Error(`The relay ended with ${code}:\n${output}`)))
  const listeningOn = await started.promise
  const url = `http://127.0.0.1:${listeningOn}`
  return {
    url,
    port: listeningOn,
    pid: child.pid!,
    get output() {
      return output
    },
    kill: (signal) => void child.kill(signal),
    exited,
    status: async () => (await (await fetch(`${url}/v1/relay/status`)).json()) as RelayStatus,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}
