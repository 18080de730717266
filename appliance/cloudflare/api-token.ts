/**
 * The API token of whoever sets things up: from a file, $CLOUDFLARE_API_TOKEN, or typed unseen. It is used and
 * forgotten: never kept, never shown.
 */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { Complaint, reasonOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { askPassword } from '../terminal/prompts.ts'
import { permissions, tokensPage } from './marks.ts'
import { accountTokensPage, tokenKindOf } from './token-kind.ts'

/** For help texts. */
export const tokenHelp = `The API token comes from --api-token-file, else from $CLOUDFLARE_API_TOKEN, else it is asked for at the terminal without showing it. It is not kept.
Make one at ${tokensPage} ("Create Custom Token"), or one of the account, at ${accountTokensPage}: for the account and the zone, with these permissions:
${Object.values(permissions)
  .map((permission) => `  ${permission}`)
  .join('\n')}`

/** @throws {Complaint} usage, refused, interrupted */
export async function obtainApiToken(machine: Machine, file: string | undefined): Promise<string> {
  if (file !== undefined)
    return requireToken(await readToken(resolve(machine.workingDir, file), file), `--api-token-file "${file}"`)
  const fromEnv = machine.env.CLOUDFLARE_API_TOKEN
  if (fromEnv !== undefined && fromEnv !== '') return requireToken(fromEnv, '$CLOUDFLARE_API_TOKEN')
  if (machine.stdin.isTTY !== true) {
    throw new Complaint(
      'usage',
      `Cannot ask for an API token: there is no terminal; set $CLOUDFLARE_API_TOKEN or give --api-token-file\n\n${tokenHelp}`,
    )
  }
  return requireToken(await askPassword(machine, 'Cloudflare API token:'), 'this')
}

async function readToken(path: string, shownName: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new Complaint('usage', `Cannot read --api-token-file "${shownName}": ${reasonOf(error)}`, { cause: error })
  }
}

/** Checked here, since a fault in a header's value is told with that value. */
function requireToken(text: string, origin: string): string {
  const token = text.trim()
  if (tokenKindOf(token) === 'global-key')
    throw new Complaint(
      'usage',
      `Cannot use ${origin} as an API token: it is the Global API Key, which may do everything; make a token at ${tokensPage}`,
    )
  if (/^[\w.~+/=-]{20,512}$/.test(token)) return token
  throw new Complaint(
    'usage',
    `Cannot use ${origin} as an API token: it is not one; an API token (not the Global API Key) is one word, made at ${tokensPage}`,
  )
}
