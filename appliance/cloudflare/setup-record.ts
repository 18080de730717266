/**
 * `cloudflare.json` in the state directory: the ids of what Burrow created in an account, so that `teardown` removes
 * only that. It contains no secret. It is written after each step, and before a tunnel is created: a tunnel has no
 * comment, and the next run must know that a tunnel with this name may be ours.
 */
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'

import { Complaint, reasonOf, systemCodeOf } from '../complaint.ts'
import { readIfAny, replacePrivateFile } from '../state/private-files.ts'

const id = z.string().min(1).max(128)
const named = z.looseObject({ id, name: z.string().max(512) })

const schema = z.looseObject({
  version: z.literal(1),
  hostname: z.string().max(253),
  account: named,
  zone: named,
  /** Without `id`: about to be created. `isMade`: created by Burrow, not found. */
  tunnel: z.looseObject({ id: id.optional(), name: z.string().max(512), isMade: z.boolean() }).optional(),
  ingress: z.looseObject({ service: z.string().max(1024) }).optional(),
  record: z.looseObject({ id, isMade: z.boolean() }).optional(),
  rule: z.looseObject({ id, rulesetId: id, isMade: z.boolean(), isRulesetMade: z.boolean() }).optional(),
  tokenFile: z.string().max(4096).optional(),
})

export type SetupRecord = z.output<typeof schema>

const recordFileOf = (stateDir: string) => join(stateDir, 'cloudflare.json')

/** `undefined` when nothing was set up here. @throws {Complaint} state */
export async function findSetupRecord(stateDir: string): Promise<SetupRecord | undefined> {
  const file = recordFileOf(stateDir)
  const text = await toldOf(file, () => readIfAny(file))
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch (error) {
    throw new Complaint(
      'state',
      `Cannot read "${file}": it is damaged or was written by a newer Burrow; move it away and run "burrow tunnel setup", which finds existing parts by name and comment`,
      { cause: error },
    )
  }
}

/** The directory exists. @throws {Complaint} state */
export async function writeSetupRecord(stateDir: string, record: SetupRecord): Promise<void> {
  const file = recordFileOf(stateDir)
  await toldOf(file, () => replacePrivateFile(file, `${JSON.stringify(record, null, 2)}\n`))
}

/** @throws {Complaint} state */
export async function removeSetupRecord(stateDir: string): Promise<void> {
  await removeFile(recordFileOf(stateDir))
}

/** Succeeds if the file is already missing. @throws {Complaint} state */
export async function removeFile(file: string): Promise<void> {
  await toldOf(file, async () => {
    try {
      await unlink(file)
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT') throw error
    }
  })
}

async function toldOf<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (systemCodeOf(error) === undefined) throw error
    throw new Complaint('state', `Cannot use "${file}": ${reasonOf(error)}; run this as the user that runs Burrow`, {
      cause: error,
    })
  }
}
