/** Reads and checks what the connector logs in with, each time one is started. */
import { readFile, stat } from 'node:fs/promises'

import { reasonOf } from '../../complaint.ts'
import type { TunnelSecret } from '../settings.ts'
import { LaunchFault } from './launch.ts'
import { parseTunnelCredentials, parseTunnelToken, type Refusal, type TunnelIdentity } from './token.ts'

export type LoadedSecret =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string; readonly identity: TunnelIdentity }
  | { readonly kind: 'credentials'; readonly file: string; readonly identity: TunnelIdentity }

/** A token is some 200 bytes. */
const maxBytes = 64 * 1024

/** @throws {LaunchFault} it cannot be read, or is not what it should be */
export async function loadTunnelSecret(secret: TunnelSecret): Promise<LoadedSecret> {
  switch (secret.kind) {
    case 'none':
      return { kind: 'none' }
    case 'token':
      return {
        kind: 'token',
        token: secret.token.trim(),
        identity: accept('the token', parseTunnelToken(secret.token)),
      }
    case 'token-file': {
      const token = await readSecretFile(secret.file)
      return {
        kind: 'token',
        token: token.trim(),
        identity: accept(`the token in "${secret.file}"`, parseTunnelToken(token)),
      }
    }
    case 'credentials-file': {
      const text = await readSecretFile(secret.file)
      return {
        kind: 'credentials',
        file: secret.file,
        identity: accept(`the credentials file "${secret.file}"`, parseTunnelCredentials(text)),
      }
    }
  }
}

/** Whether others than its owner may read the file that holds the secret. */
export async function isExposed(secret: TunnelSecret): Promise<boolean> {
  if (secret.kind !== 'token-file' && secret.kind !== 'credentials-file') return false
  return ((await stat(secret.file)).mode & 0o007) !== 0
}

async function readSecretFile(file: string): Promise<string> {
  try {
    const found = await stat(file)
    // A pipe without a writer would be waited for.
    if (!found.isFile()) throw new LaunchFault(`"${file}" is no file`, "name the file that holds the tunnel's secret")
    if (found.size > maxBytes)
      throw new LaunchFault(`"${file}" is too large for a tunnel's secret`, 'name the right file')
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof LaunchFault) throw error
    throw new LaunchFault(
      `"${file}", which holds the tunnel's secret, cannot be read: ${reasonOf(error)}`,
      'correct the path, or the rights of the file',
      {
        cause: error,
      },
    )
  }
}

function accept(what: string, parsed: TunnelIdentity | Refusal): TunnelIdentity {
  if ('refusal' in parsed) throw new LaunchFault(`${what} ${parsed.refusal}`, parsed.remedy)
  return parsed
}
