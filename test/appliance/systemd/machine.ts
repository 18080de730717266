/** A script run by the real systemd on a machine of its own (boot.sh), and what it said. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe } from '@jest/globals'

import { createScratchDir } from '../scratch-dir.ts'

const bootScript = fileURLToPath(new URL('boot.sh', import.meta.url))
const checkout = fileURLToPath(new URL('../../..', import.meta.url))

/** `describe`, where such a machine can be had; else a message, and `describe.skip`. */
export function findDescribe(): typeof describe | typeof describe.skip {
  const { status, stderr } =
    process.getuid?.() === 0
      ? spawnSync('bash', [bootScript, 'check'], { encoding: 'utf8' })
      : { status: 1, stderr: 'that takes root' }
  if (status === 0) return describe
  process.stderr.write(
    `Skipping tests: systemd cannot be run in namespaces here: ${stderr.trim().split('\n').at(-1)}\n`,
  )
  return describe.skip
}

/** In the script `== NAME` begins an answer: the lines below it, by name. The checkout is /opt/burrow there, Node /opt/burrow-node. */
export async function runOnMachine(script: string): Promise<ReadonlyMap<string, readonly string[]>> {
  await using dir = await createScratchDir()
  await writeFile(dir.file('run.sh'), script)
  const machine = spawn('bash', [bootScript, dir.path, checkout, process.execPath], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  await once(machine, 'exit')
  const parts = (await readFile(dir.file('output'), 'utf8')).split(/^== /m).slice(1)
  return new Map(parts.map((part) => [part.split('\n')[0]!, part.trimEnd().split('\n').slice(1)]))
}
