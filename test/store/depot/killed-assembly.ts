/**
 * Run as a process of its own: sends a NAR in parts as a client that asks first, says what was acknowledged, and kills
 * itself at the disk operation of the given number.
 */
import { writeSync } from 'node:fs'

import { file } from '../../nar/trees.ts'
import { countingDisk } from './counting-disk.ts'
import { make, TestDepot } from './fixture.ts'
import { commit, mib, putPart } from './parts.ts'

const disk = countingDisk(Number(process.argv[3]))
const made = make('parts', { tree: file(Buffer.alloc(3.5 * mib, 'the same in every run ')), compression: 'none' })
const test = new TestDepot(process.argv[2]!)
await test.reopenHere({}, disk.disk)
disk.start()
const { file: _file, ...path } = made.path
const [planned] = (await test.depot.plan([path], mib, 'cat')).paths
if (planned?.status === 'upload') {
  const here = new Set(planned.have.split(',').flatMap((range) => expand(range)))
  for (const index of [2, 0, 1, 3]) {
    if (here.has(index)) continue
    const { status } = await putPart(test, made, index)
    if (status === 'stored') writeSync(1, `part ${index}\n`)
  }
}
const [verdict] = await commit(test, [made])
writeSync(1, `commit ${verdict!.status}\n`)
if ((await test.verify()).damaged.length > 0) throw new Error('damaged')
disk.stop()
await test.close()

function expand(range: string): number[] {
  if (range === '') return []
  const [first, last = first] = range.split('-').map(Number)
  return Array.from({ length: last! - first! + 1 }, (_, at) => first! + at)
}
