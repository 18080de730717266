/** Updates as deltas: what crosses the line in place of a compressed NAR, and what it costs to make and to read. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../children.ts'
import { fetchUpdates, type Update } from '../debian-updates.ts'
import type { Measure } from '../measure.ts'
import { say } from '../progress.ts'
import { makeRebuild } from '../rebuild.ts'
import { workDir } from '../work-dir.ts'

interface Step {
  readonly narBytes: number
  readonly bytes: number
  readonly seconds: number
  readonly peakMebibytes: number
}

interface Result {
  readonly name: string
  readonly plain: Step
  readonly make: Step
  readonly read: Step
}

interface Results {
  readonly results: readonly Result[]
  readonly notes: readonly string[]
}

export const deltaUpdates: Measure = {
  name: 'delta-updates',
  what: 'deltas of real updates of Debian packages, against zstd -3',
  unit: 'MB',
  target: { of: 'ratio', relation: '≤', value: 0.13 },
  hasReference: false,
  async run() {
    const { results, notes } = await measureUpdates()
    return { rounds: [toRound(results)], notes: [...results.map(describe), ...notes] }
  },
}

export const deltaRebuild: Measure = {
  name: 'delta-rebuild',
  what: 'delta of a rebuild in which only store hashes differ, against zstd -3',
  unit: 'MB',
  target: { of: 'ratio', relation: '≤', value: 0.01 },
  hasReference: false,
  async run() {
    const result = await measureRebuild()
    return { rounds: [toRound([result])], notes: [describe(result)] }
  },
}

export const deltaMaking: Measure = {
  name: 'delta-making',
  what: 'making the deltas of the updates, one at a time',
  unit: 'MB/s of NAR',
  target: { of: 'value', relation: '≥', value: 10 },
  hasReference: false,
  run: () => measureSpeed((result) => result.make),
}

export const deltaReading: Measure = {
  name: 'delta-reading',
  what: 'making the NARs from those deltas, hash included',
  unit: 'MB/s of NAR',
  target: { of: 'value', relation: '≥', value: 100 },
  hasReference: false,
  run: () => measureSpeed((result) => result.read),
}

export const deltaMakingMemory: Measure = {
  name: 'delta-making-memory',
  what: 'peak RSS of a process that makes one of the deltas, the worst',
  unit: 'MiB',
  target: { of: 'value', relation: '≤', value: 350 },
  hasReference: false,
  run: () => measurePeak((result) => result.make),
}

export const deltaReadingMemory: Measure = {
  name: 'delta-reading-memory',
  what: 'peak RSS of a process that makes the NAR from one of them, the worst',
  unit: 'MiB',
  target: { of: 'value', relation: '≤', value: 200 },
  hasReference: false,
  run: () => measurePeak((result) => result.read),
}

async function measureSpeed(stepOf: (result: Result) => Step): ReturnType<Measure['run']> {
  const steps = (await measureUpdates()).results.map(stepOf)
  const megabytes = steps.reduce((sum, step) => sum + step.narBytes, 0) / 1e6
  return { rounds: [{ reference: undefined, burrow: megabytes / steps.reduce((sum, step) => sum + step.seconds, 0) }] }
}

async function measurePeak(stepOf: (result: Result) => Step): ReturnType<Measure['run']> {
  const results = [...(await measureUpdates()).results, await measureRebuild()]
  const peaks = results.map((result) => stepOf(result).peakMebibytes)
  return { rounds: [{ reference: undefined, burrow: Math.max(...peaks) }] }
}

let measured: Promise<Results> | undefined
let rebuild: Promise<Result> | undefined

/** Once in a run: several rows of the table are from the same figures. */
function measureUpdates(): Promise<Results> {
  const run = async (): Promise<Results> => {
    const { updates, notes } = await fetchUpdates()
    const results: Result[] = []
    for (const update of updates) results.push(await measure(update))
    return { results, notes }
  }
  measured ??= run()
  return measured
}

function measureRebuild(): Promise<Result> {
  rebuild ??= measure({ name: 'rebuild', ...makeRebuild() })
  return rebuild
}

async function measure({ name, base, target }: Update): Promise<Result> {
  mkdirSync(workDir, { recursive: true })
  const deltaFile = join(workDir, 'delta')
  const result = {
    name,
    plain: await runStep('plain', target),
    make: await runStep('make', base, target, deltaFile),
    read: await runStep('read', base, target, deltaFile),
  }
  if (result.read.bytes !== result.read.narBytes) throw new Error(`The delta of ${name} did not give the whole NAR`)
  say(`  ${describe(result)}`)
  return result
}

async function runStep(...args: readonly string[]): Promise<Step> {
  const runner = fileURLToPath(new URL('../delta-runner.ts', import.meta.url))
  return JSON.parse((await runCommand(process.execPath, [runner, ...args])).stdout) as Step
}

function toRound(results: readonly Result[]): { reference: number; burrow: number } {
  const sum = (bytesOf: (result: Result) => number): number =>
    results.reduce((total, result) => total + bytesOf(result), 0) / 1e6
  return { reference: sum(({ plain }) => plain.bytes), burrow: sum(({ make }) => make.bytes) }
}

function describe({ name, plain, make, read }: Result): string {
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(2)
  const cost = (step: Step): string => `${step.seconds.toFixed(1)} s, ${step.peakMebibytes.toFixed(0)} MiB`
  const ratio = (make.bytes / plain.bytes).toFixed(3)
  return `${name}: NAR ${megabytes(plain.narBytes)} MB, zstd -3 ${megabytes(plain.bytes)}, delta ${megabytes(make.bytes)} (${ratio}); made in ${cost(make)}; read in ${cost(read)}`
}
