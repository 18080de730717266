/** The scribe in the test's own thread, with the test's clock and disk. */
import { type Disk, systemDisk } from '../../../src/disk/disk.ts'
import type { DepotOptions } from '../../../src/store/depot/depot.ts'
import { Scribe } from '../../../src/store/depot/scribe.ts'
import type { ScribeLink } from '../../../src/store/depot/scribe-messages.ts'

export function scribeHere(
  now: () => number = Date.now,
  disk: Disk = systemDisk,
): NonNullable<DepotOptions['startScribe']> {
  return async (options, host) => {
    const scribe = await Scribe.open(options, host, { disk, now, random: () => crypto.randomUUID() })
    const link: ScribeLink = {
      recovered: scribe.recovered,
      call(op, argument, body) {
        return (scribe[op] as (argument: unknown, body: unknown) => unknown).call(scribe, argument, body) as never
      },
      close: () => scribe.close(),
    }
    return link
  }
}
