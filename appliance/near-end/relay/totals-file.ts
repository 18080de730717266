/** `totals.json` in the relay's directory: what it has counted, for `burrow relay status` after a restart. */
import { join } from 'node:path'
import * as z from 'zod'

import type { Log, RelayTotals } from '../../../src/index.ts'
import { reasonOf } from '../../complaint.ts'
import { readIfAny, replacePrivateFile } from '../../state/private-files.ts'

const count = z.number().min(0)
const schema = z.object({
  since: z.iso.datetime(),
  narInfos: z.object({ asked: count, recalled: count }),
  nars: z.object({ sent: count, failed: count, prefetched: count, resumed: count, byDelta: count }),
  bytes: z.object({ nars: count, received: count, savedByDeltas: count }),
})

/** Undefined if there is none. One that cannot be read is begun again: it holds nothing but counts. */
export async function readTotals(stateDir: string): Promise<RelayTotals | undefined> {
  try {
    return schema.parse(JSON.parse((await readIfAny(fileIn(stateDir))) ?? ''))
  } catch {
    return undefined
  }
}

/** Never rejects: counts are not worth a failure. */
export async function writeTotals(stateDir: string, totals: RelayTotals, log: Log): Promise<void> {
  const { since, narInfos, nars, bytes } = totals
  try {
    await replacePrivateFile(fileIn(stateDir), `${JSON.stringify(schema.parse({ since, narInfos, nars, bytes }))}\n`)
  } catch (error) {
    log.warn({ reason: reasonOf(error) }, 'Cannot keep the counts of the relay')
  }
}

const fileIn = (stateDir: string) => join(stateDir, 'totals.json')
