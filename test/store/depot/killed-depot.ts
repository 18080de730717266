/**
 * Run as a process of its own: pushes, says what was acknowledged, and kills itself at the disk operation of the given
 * number.
 */
import { writeSync } from 'node:fs'

import { countingDisk } from './counting-disk.ts'
import { workload } from './crash-workload.ts'
import { TestDepot } from './fixture.ts'

const { disk, start, stop } = countingDisk(Number(process.argv[3]))
const test = new TestDepot(process.argv[2]!)
await test.reopenHere({}, disk)
start()
await workload().run(test, (storePath) => writeSync(1, `${storePath}\n`))
stop()
await test.close()
