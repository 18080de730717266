/**
 * The processes a benchmark run starts. Every one is remembered until it is gone, so that whatever way the run ends
 * (done, failed, Ctrl-C) none outlives it. Nothing that this run did not start is ever signalled.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** Time between SIGTERM and SIGKILL. */
const graceMs = 5_000
const living = new Set<ChildProcess>()
let isEnding = false
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/** @throws {Error} once the run is ending: what is still under way must not begin anything more */
export function startChild(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  if (isEnding) throw new Error(`Cannot start ${command}: the run is ending`)
  const child = spawn(command, [...args], options)
  living.add(child)
  child.once('exit', () => living.delete(child))
  child.once('error', () => living.delete(child))
  return child
}

/** Ends a child and resolves when it is gone. */
export async function stopChild(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (!living.has(child)) return
  const gone = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await gone
  clearTimeout(timer)
}

/** Ends every child; none can be started any more. */
export async function stopAllChildren(): Promise<void> {
  isEnding = true
  await Promise.all([...living].map((child) => stopChild(child)))
}

export interface Finished {
  readonly stdout: string
  readonly seconds: number
}

/**
 * Runs a command to its end and takes the time.
 * @throws {Error} with the end of its standard error when it fails or takes longer than `timeoutSeconds`
 */
export async function runCommand(
  command: string,
  args: readonly string[],
  options: SpawnOptions & {
    readonly input?: string
    readonly timeoutSeconds?: number
    readonly discardOutput?: boolean
  } = {},
): Promise<Finished> {
  const { input, timeoutSeconds = 300, discardOutput = false, ...spawnOptions } = options
  const started = performance.now()
  const child = startChild(command, args, {
    ...spawnOptions,
    stdio: [input === undefined ? 'ignore' : 'pipe', discardOutput ? 'ignore' : 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-2_000)
  })
  child.stdin?.on('error', () => undefined).end(input)
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, timeoutSeconds * 1_000)
  let seconds = 0
  child.once('exit', () => {
    seconds = (performance.now() - started) / 1_000
  })
  const [code] = (await once(child, 'close').finally(() => clearTimeout(timer))) as [number | null]
  if (code === 0) return { stdout, seconds }
  const reason = late ? `it took longer than ${timeoutSeconds} s` : stderr.trim()
  throw new Error(`Cannot run ${command} ${args.slice(0, 6).join(' ')}: ${reason}`)
}

/**
 * Seconds of processor time a process has used so far, its threads included; those of its own ended children are not.
 */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  // Clock ticks of 1/100 s: USER_HZ is 100 on every Linux that Node runs on.
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** The highest resident memory of a process since it began, in MiB. */
export const peakMemoryOf = (pid: number): number => readMemory(pid, 'VmHWM')

/** The resident memory of a process now, in MiB. */
export const memoryOf = (pid: number): number => readMemory(pid, 'VmRSS')

function readMemory(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1_024
}
