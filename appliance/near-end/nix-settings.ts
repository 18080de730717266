/**
 * Reads a setting of this machine's Nix from its configuration files. The user's files take precedence over the
 * system's, and in a file the last line wins. `include` lines are followed. Source: Nix manual, "nix.conf".
 */
import { readFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'

import type { Machine } from '../machine.ts'

const maxIncludes = 32

/** `undefined` if it is not set or the files cannot be read. */
export async function findNixSetting(machine: Machine, name: string): Promise<string | undefined> {
  const { env, homeDir } = machine
  const userDir = join(
    env.XDG_CONFIG_HOME?.startsWith('/') === true ? env.XDG_CONFIG_HOME : join(homeDir, '.config'),
    'nix',
  )
  const files = [
    ...(env.NIX_USER_CONF_FILES?.split(':') ?? [join(userDir, 'nix.conf')]),
    join(env.NIX_CONF_DIR ?? '/etc/nix', 'nix.conf'),
  ]
  for (const file of files) {
    const value = await findInFile(file, name, { left: maxIncludes })
    if (value !== undefined) return value
  }
  return undefined
}

async function findInFile(file: string, name: string, includes: { left: number }): Promise<string | undefined> {
  let found: string | undefined
  for (const line of (await readFile(file, 'utf8').catch(() => '')).split('\n')) {
    const words = line.replace(/#.*$/, '').trim().split(/\s+/)
    if (/^!?include$/.test(words[0] ?? '') && words[1] !== undefined && includes.left-- > 0) {
      found = (await findInFile(resolve(dirname(file), words[1]), name, includes)) ?? found
    } else if (words[0] === name && words[1] === '=') found = words.slice(2).join(' ')
  }
  return found
}
