/** Run as a process of its own: pushes, says what was acknowledged, and kills itself before the disk operation of the given number. */
import { writeSync } from 'node:fs'

import { type Disk, systemDisk, type WritableFile } from '../../../src/disk/disk.ts'
import { workload } from './crash-workload.ts'
import { TestDepot } from './fixture.ts'

let left = Number(process.argv[3])
let isRunning = false

function step(): void {
  if (isRunning && --left === 0) process.kill(process.pid, 'SIGKILL')
}

function watched<Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>): (...args: Args) => Promise<Result> {
  return async (...args) => {
    step()
    const result = await work(...args)
    // Between the operation and what follows from it: a commit, an answer.
    step()
    return result
  }
}

function watchedFile(file: WritableFile): WritableFile {
  return { write: watched(file.write), sync: watched(file.sync), close: file.close }
}

const disk: Disk = {
  ...systemDisk,
  create: watched(async (path, mode) => watchedFile(await systemDisk.create(path, mode))),
  reopen: watched(async (path, length) => watchedFile(await systemDisk.reopen(path, length))),
  rename: watched(systemDisk.rename),
  unlink: watched(systemDisk.unlink),
  removeTree: watched(systemDisk.removeTree),
  syncDirectory: watched(systemDisk.syncDirectory),
}

const test = new TestDepot(process.argv[2]!)
await test.reopenHere({}, disk)
isRunning = true
await workload().run(test, (storePath) => writeSync(1, `${storePath}\n`))
isRunning = false
await test.close()
