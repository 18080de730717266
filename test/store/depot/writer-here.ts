/** The writer in the test's own thread, with the test's clock and disk. */
import { type Disk, systemDisk } from '../../../src/disk/disk.ts'
import type { DepotOptions } from '../../../src/store/depot/depot-options.ts'
import { DepotWriter } from '../../../src/store/depot/writer.ts'
import type { WriterLink } from '../../../src/store/depot/writer-messages.ts'

export function writerHere(
  now: () => number = Date.now,
  disk: Disk = systemDisk,
): NonNullable<DepotOptions['startWriter']> {
  return async (options, host) => {
    const writer = await DepotWriter.open(options, host, { disk, now, random: () => crypto.randomUUID() })
    const link: WriterLink = {
      recovered: writer.recovered,
      call(op, argument, body) {
        return (writer[op] as (argument: unknown, body: unknown) => unknown).call(writer, argument, body) as never
      },
      close: () => writer.close(),
    }
    return link
  }
}
