/**
 * The API token for the setup: from a file, from $CLOUDFLARE_API_TOKEN, or typed without echo. It is never stored or
 * shown.
 */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

import { Complaint, reasonOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { askPassword } from '../terminal/prompts.ts'
import { permissions, tokensPage } from './marks.ts'
import { accountTokensPage, tokenKindOf } from './token-kind.ts'

/** For help texts. */
export const tokenHelp = `The API token is read from --api-token-file, or from $CLOUDFLARE_API_TOKEN, or from a prompt at the terminal. It is not stored.
Create it at ${tokensPage} ("Create Custom Token"), or an account token at ${accountTokensPage}, for the account and the zone, with these permissions:
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
      `Cannot prompt for an API token without a terminal; set $CLOUDFLARE_API_TOKEN or use --api-token-file\n\n${tokenHelp}`,
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

/** Checked here, because Node's error for an invalid header value contains that value. */
function requireToken(text: string, origin: string): string {
  const token = text.trim()
  if (tokenKindOf(token) === 'global-key')
    throw new Complaint(
      'usage',
      `Cannot use ${origin} as an API token: it is the Global API Key, which has all permissions; create a token at ${tokensPage}`,
    )
  if (/^[\w.~+/=-]{20,512}$/.test(token)) return token
  throw new Complaint(
    'usage',
    `Cannot use ${origin} as an API token: it has the wrong format; an API token (not the Global API Key) is a single word, created at ${tokensPage}`,
  )
}
