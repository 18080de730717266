/**
 * Directories for a connector's files, `connector-<pid>.<start time>-<random>`, named for the Burrow that made them:
 * one that was killed could not remove its own, and the token may lie in it, so the next start does.
 */
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'

import type { Log } from '../../../src/index.ts'
import { reasonOf, systemCodeOf } from '../../complaint.ts'
import type { ProcessTable } from './process-identity.ts'

export interface DirOwner {
  readonly pid: number
  /** From `ProcessTable`; `undefined` when it is unknown, and then the directory is not removed. */
  readonly startTime: string | undefined
}

/** The name is unique to Burrow, so that a process with a file in it on its command line is certainly ours. */
export async function makeConnectorDir(runtimeDir: string, owner: DirOwner | undefined): Promise<string> {
  await mkdir(runtimeDir, { recursive: true, mode: 0o700 })
  const mark = owner?.startTime === undefined ? '' : `${owner.pid}.${wordOf(owner.startTime)}-`
  return await mkdtemp(join(runtimeDir, `connector-${mark}`))
}

/** Removes the directories of Burrows that live no more. Never rejects. */
export async function sweepLeftovers(runtimeDir: string, processes: ProcessTable, log: Log): Promise<void> {
  try {
    for (const name of await readdir(runtimeDir)) {
      const [, pid, startTime] = /^connector-(\d{1,10})\.(\w+)-\w{6}$/.exec(name) ?? []
      if (pid === undefined || startTime === undefined || (await isAlive(processes, Number(pid), startTime))) continue
      await rm(join(runtimeDir, name), { recursive: true, force: true })
      log.info({ dir: join(runtimeDir, name) }, 'Removed what a Burrow that was killed left of its connector')
    }
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return
    log.warn(
      { reason: reasonOf(error) },
      `Cannot look for what an earlier start left in "${runtimeDir}": a copy of the tunnel's token may lie there`,
    )
  }
}

async function isAlive(processes: ProcessTable, pid: number, startTime: string): Promise<boolean> {
  const found = await processes.findStartTime(pid)
  return found !== undefined && wordOf(found) === startTime
}

/** `Mon Nov 23 07:18:54 2026`, as ps has it, is no part of a file name. */
function wordOf(startTime: string): string {
  return startTime.replaceAll(/\W+/g, '_')
}
