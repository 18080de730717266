/**
 * `npm run bench`: Burrow beside nginx with prebuilt files of the same content, by turns in one run, and one table.
 *   --only NAME[,NAME]   these measures alone (repeatable)
 *   --quick              fewer rounds, shorter ones
 *   --json FILE          every figure of every round as well
 *   --rebuild            throw away the store, the larder and all else of earlier runs first
 *   --against-itself     nginx on both sides: shows the noise of the machine and of the harness
 *   --against DIR        the Burrow of another checkout on the other side: what a change has made faster or slower
 *   --profile            each burrow writes a processor profile into bench/.work/profiles
 * Exit code 0 when everything was measured and every target met, 1 when a target was missed, 2 when something could not
 * be measured.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { openBench } from './bench.ts'
import { runCommand, stopAllChildren } from './children.ts'
import { measures } from './measures/all.ts'
import { installPrerequisites } from './prerequisites.ts'
import { say } from './progress.ts'
import { describeStore } from './store.ts'
import { describeMachine, formatTable, type Row, toRow } from './table.ts'
import { workDir } from './work-dir.ts'

/** A machine so slow or so busy that a run takes longer gives no figures worth having. */
const mostMinutes = { full: 12, quick: 5 } as const
/** The load of other programs above which a run on few cores says little. */
const quietLoad = 0.5

let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true
    say(`${signal}: ending what was started`)
    void stopAllChildren().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  })
}

try {
  process.exitCode = await main()
} catch (error) {
  await stopAllChildren()
  if (!interrupted) {
    say(`${error instanceof Error ? error.message : error}`)
    process.exitCode = 2
  }
}

async function main(): Promise<number> {
  const { values: options } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      rebuild: { type: 'boolean', default: false },
      'against-itself': { type: 'boolean', default: false },
      against: { type: 'string' },
      profile: { type: 'boolean', default: false },
    },
  })
  const againstItself = options['against-itself']
  const chosen = chooseMeasures(
    options.only.flatMap((names) => names.split(',')),
    againstItself,
  )
  const loadBefore = loadavg()[0] ?? 0
  await installPrerequisites()
  if (options.rebuild) rmSync(workDir, { recursive: true, force: true })
  mkdirSync(workDir, { recursive: true })
  await using bench = await openBench({
    quick: options.quick,
    againstItself,
    against: options.against && resolve(options.against),
    profile: options.profile,
  })
  say(describeStore(bench.store))
  const load = `load of the machine before: ${loadBefore.toFixed(1)}`
  if (loadBefore > quietLoad) say(`${load}: other programs are busy, so ratios will stray`)
  const rows: Row[] = []
  const failures: string[] = []
  const deadline = performance.now() + mostMinutes[options.quick ? 'quick' : 'full'] * 60_000
  for (const measure of chosen) {
    say(`${measure.name}: ${measure.what}`)
    try {
      if (performance.now() > deadline) throw new Error('the time for the whole run is over')
      rows.push(toRow(measure, await measure.run(bench)))
    } catch (error) {
      if (interrupted) throw error
      failures.push(`${measure.name}: ${error instanceof Error ? error.message : error}`)
      say(failures.at(-1)!)
    }
  }
  await report(rows, failures, `${describeStore(bench.store)}; ${load}`, options.json)
  return failures.length > 0 ? 2 : rows.every((row) => row.met) ? 0 : 1
}

function chooseMeasures(names: readonly string[], againstItself: boolean): typeof measures {
  const unknown = names.filter((name) => !measures.some((measure) => measure.name === name))
  if (unknown.length > 0)
    throw new Error(
      `Cannot measure ${unknown.join(', ')}: known are ${measures.map((measure) => measure.name).join(', ')}`,
    )
  return measures.filter(
    (measure) => (names.length === 0 || names.includes(measure.name)) && (measure.hasReference || !againstItself),
  )
}

async function report(
  rows: readonly Row[],
  failures: readonly string[],
  store: string,
  jsonFile: string | undefined,
): Promise<void> {
  const nix = (await runCommand('nix-store', ['--version'])).stdout.trim()
  const machine = `${describeMachine()}, ${nix}`
  const notes = [...rows.flatMap((row) => row.notes), ...failures.map((failure) => `NOT MEASURED ${failure}`)]
  process.stdout.write(`\n${machine}\n${store}\n\n${formatTable(rows)}\n\n${notes.map((note) => `${note}\n`).join('')}`)
  if (jsonFile !== undefined)
    writeFileSync(
      jsonFile,
      `${JSON.stringify({ date: new Date().toISOString(), machine, store, rows, failures }, undefined, 2)}\n`,
    )
}
