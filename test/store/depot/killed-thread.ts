/**
 * Run as a process of its own: pushes many objects at once through the writer's thread, and says what was acknowledged,
 * until it is killed.
 */
import { writeSync } from 'node:fs'

import { TestDepot } from './fixture.ts'
import { manyObjects } from './many-objects.ts'

const test = new TestDepot(process.argv[2]!)
await test.reopen()
await Promise.all(
  manyObjects().map(async (made) => {
    const verdict = await test.push(made)
    if (verdict.status !== 'registered') throw new Error(JSON.stringify(verdict))
    writeSync(1, `${made.path.storePath}\n`)
  }),
)
// It ends by being killed, however fast it was.
setInterval(() => {}, 1_000_000)
