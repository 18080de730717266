/** Run as a process of its own, to be killed: keeps one NAR, writes half of another, says so and waits. */
import { openDeltaMaker } from '../../src/delta/maker/delta-thread.ts'
import { openLarder } from '../../src/larder/open-larder.ts'
import { silentLog } from '../../src/log.ts'
import { StandInPacker } from './stand-in-packer.ts'

const packer = new StandInPacker()
const larder = await openLarder({
  dir: process.argv[2]!,
  maxBytes: 1e9,
  level: 3,
  zstdVersion: '1.5.7',
  packer,
  deltaMaker: openDeltaMaker({ log: silentLog }),
  log: silentLog,
})
await larder.settle(packer.make('whole', 100_000))
packer.isByHand = true
const started = packer.nextFill()
await larder.open(packer.make('half', 1_000_000))
const fill = await started
fill.writeTo(500_000)
process.stdout.write('half written\n')
setInterval(() => {}, 1_000_000)
