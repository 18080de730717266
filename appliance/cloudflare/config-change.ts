/**
 * Changes the setting "tunnel" in the config file to `{"mode":"token","tokenFile":…,"hostname":…}`, and keeps all other
 * settings, including other options of the tunnel. The file keeps its owner and mode. If the file cannot be written (on
 * NixOS), the change is printed instead.
 */
import type { Stats } from 'node:fs'
import { access, constants, open, realpath, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

import { Complaint, reasonOf } from '../complaint.ts'
import type { Config } from '../config/config.ts'
import { isObject } from '../config/problem.ts'
import { readIfAny, replacePrivateFile } from '../state/private-files.ts'
import { withMember } from './json-member.ts'

export interface ConfigChange {
  /** The path as given by the user. */
  readonly file: string
  /** The current value of "tunnel"; `undefined` if it is not set. */
  readonly before: unknown
  readonly after: unknown
  readonly isNeeded: boolean
  /** Why the file cannot be written; `undefined` if it can. */
  readonly impediment: string | undefined
  /** @throws {Complaint} refused */
  apply(): Promise<void>
}

/**
 * The change to a tunnel with a token. `config` is the parsed `file`; `tokenFileText` is the path as written in the
 * config, if that contains a variable.
 */
export async function planTunnelSetting(
  config: Config & { file: string },
  wanted: { hostname: string; tokenFile: string; tokenFileText?: string | undefined },
): Promise<ConfigChange> {
  const { tunnel } = config
  const isRight =
    tunnel?.mode === 'token' &&
    tunnel.hostname === wanted.hostname &&
    tunnel.secret.kind === 'token-file' &&
    tunnel.secret.file === wanted.tokenFile
  const keepsFile = tunnel?.secret.kind === 'token-file' && tunnel.secret.file === wanted.tokenFile
  return await planChange(config.file, !isRight, (before) => {
    const {
      token: _token,
      credentialsFile: _file,
      ...others
    } = isObject(before) && !Array.isArray(before) ? (before as Record<string, unknown>) : {}
    // Keep an existing text for the same file, which may contain a variable.
    const tokenFile = keepsFile ? others.tokenFile : (wanted.tokenFileText ?? wanted.tokenFile.replaceAll('$', '$$$$'))
    return { ...others, mode: 'token', tokenFile, hostname: wanted.hostname }
  })
}

/** The change to no tunnel, if the config still has the one that was set up. */
export async function planTunnelOff(config: Config & { file: string }, hostname: string): Promise<ConfigChange> {
  const { tunnel } = config
  return await planChange(config.file, tunnel?.mode === 'token' && tunnel.hostname === hostname, () => 'off')
}

async function planChange(
  file: string,
  isNeeded: boolean,
  change: (before: unknown) => unknown,
): Promise<ConfigChange> {
  const target = await realpath(file)
  const text = (await readIfAny(target)) ?? '{}'
  const document: unknown = JSON.parse(text.replace(/^\ufeff/, ''))
  const before = isObject(document) ? (document as Record<string, unknown>).tunnel : undefined
  const after = isNeeded ? change(before) : before
  return {
    file,
    before,
    after,
    isNeeded,
    impediment: isNeeded ? await findImpediment(target) : undefined,
    apply: () => write(target, withMember(text, 'tunnel', after)),
  }
}

/** The file is replaced by renaming, so its directory must be writable too. */
async function findImpediment(target: string): Promise<string | undefined> {
  try {
    await access(target, constants.W_OK)
    await access(dirname(target), constants.W_OK)
    return undefined
  } catch (error) {
    return reasonOf(error)
  }
}

async function write(target: string, text: string): Promise<void> {
  try {
    const before = await stat(target)
    await replacePrivateFile(target, text)
    await restoreOwner(target, before)
  } catch (error) {
    throw new Complaint('refused', `Cannot write config "${target}": ${reasonOf(error)}`, { cause: error })
  }
}

/**
 * Root may run the setup for another user. That user owns the directory, and must not be able to make root change the
 * owner of another file.
 */
async function restoreOwner(target: string, { uid, gid, mode }: Stats): Promise<void> {
  const handle = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const made = await handle.stat()
    if (!made.isFile() || made.nlink !== 1) return
    if (made.uid !== uid || made.gid !== gid) await handle.chown(uid, gid)
    if ((mode & 0o777) !== 0o600) await handle.chmod(mode & 0o777)
  } finally {
    await handle.close()
  }
}
