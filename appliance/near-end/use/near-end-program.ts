/**
 * What a unit starts: the commands of the near end in one file where there is one (this program, or the file that
 * scripts/bundle.mjs has made for it), since that takes half the memory; else the program itself.
 */
import { readlink } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { findBundle } from '../../bundles.ts'
import { Complaint } from '../../complaint.ts'
import { findObstacle, findProgram } from '../../systemd/unit-text.ts'
import { isSingleFile } from '../../version.ts'

/** Executable and first arguments, absolute. Rejects with a Complaint where there is no Linux. */
export async function findNearEndProgram(): Promise<readonly string[]> {
  const node = await readlink('/proc/self/exe').catch((error: unknown) => {
    throw new Complaint('refused', 'Cannot write units of systemd here: they are for Linux', { cause: error })
  })
  const file = isSingleFile() ? fileURLToPath(import.meta.url) : findBundle('client')
  return file === undefined ? (await findProgram()).command : [node, file]
}

/** Why a service could not start it, or not for long; undefined when it can. `isSystem`: as a user of its own. */
export async function findServiceObstacle(command: readonly string[], isSystem: boolean): Promise<string | undefined> {
  const temporary = command.find((word) => word.split('/').includes('_npx'))
  if (temporary !== undefined) return `"${temporary}" is in a directory that npx removes`
  return isSystem ? await findObstacle({ command }) : undefined
}
