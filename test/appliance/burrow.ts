/** The real program as a child process: run to its end, or served and waited for by what it logs. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

import type { ScratchDir } from './scratch-dir.ts'

const main = fileURLToPath(new URL('../../appliance/program.ts', import.meta.url))

export interface Surroundings {
  readonly cwd: string
  /** Beside PATH, which is always there. */
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

function spawnBurrow(args: readonly string[], { cwd, env = {} }: Surroundings): ChildProcess {
  // HOME lies in the scratch directory, so that no state of the user who runs the tests is touched.
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd, BURROW_COMMAND: 'burrow', ...env },
    stdio: 'pipe',
  })
}

export async function runBurrow(args: readonly string[], surroundings: Surroundings): Promise<Outcome> {
  const child = spawnBurrow(args, surroundings)
  child.stdin!.on('error', () => {})
  child.stdin!.end(surroundings.input ?? '')
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'close'),
  ])
  return { code, signal, stdout, stderr }
}

export type LogRecord = Readonly<Record<string, unknown>> & { readonly msg: string; readonly level: string }

export interface Served extends AsyncDisposable {
  readonly child: ChildProcess
  readonly url: string
  /** Standard output once it fits, past or to come. */
  printed(pattern: RegExp): Promise<string>
  readonly records: readonly LogRecord[]
  /** The first record, past or to come, with this message. */
  logged(message: RegExp): Promise<LogRecord>
  kill(signal: NodeJS.Signals): void
  readonly exited: Promise<Pick<Outcome, 'code' | 'signal'>>
}

/** `burrow serve …`; resolves when it is ready. */
export async function serveBurrow(options: readonly string[], surroundings: Surroundings): Promise<Served> {
  const child = spawnBurrow(['serve', ...options], surroundings)
  child.stdin!.end()
  const records: LogRecord[] = []
  const waiting = new Set<() => void>()
  const unread: string[] = []
  let stdout = ''
  child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk
    for (const look of waiting) look()
  })
  createInterface({ input: child.stderr! }).on('line', (line) => {
    try {
      records.push(JSON.parse(line))
    } catch {
      unread.push(line)
    }
    for (const look of waiting) look()
  })
  const exited = once(child, 'close').then(([code, signal]) => ({ code, signal }))

  const found = <T>(find: () => T | undefined, what: RegExp) =>
    new Promise<T>((resolve, reject) => {
      const look = () => {
        const value = find()
        if (value === undefined) return
        waiting.delete(look)
        resolve(value)
      }
      waiting.add(look)
      exited.then(
        () =>
          reject(
            new Error(
              `It ended without ${what}:\n${[...unread, ...records.map((record) => JSON.stringify(record)), stdout].join('\n')}`,
            ),
          ),
        reject,
      )
      look()
    })
  const logged = (message: RegExp) => found(() => records.find(({ msg }) => message.test(msg)), message)

  const { listen } = await logged(/Burrow is ready/)
  return {
    child,
    url: String(listen),
    printed: (pattern) => found(() => (pattern.test(stdout) ? stdout : undefined), pattern),
    records,
    logged,
    kill: (signal) => void child.kill(signal),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

/** `burrow.json` in the directory, on a port of its own. */
export async function writeConfig(dir: ScratchDir, config: object): Promise<void> {
  await writeFile(dir.file('burrow.json'), JSON.stringify({ listen: '127.0.0.1:0', ...config }), { mode: 0o600 })
}

/** Serves by that config. */
export const serve = (dir: ScratchDir, env = {}): Promise<Served> => serveBurrow([], { cwd: dir.path, env })
