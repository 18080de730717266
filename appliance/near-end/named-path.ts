/**
 * Store paths as arguments of commands: a store path, a file in it, or a link to it (`./result`). Builds nothing.
 */
import { readlink, realpath } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'

import { Complaint, reasonOf } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { findNixStore } from './nix-store.ts'

/** The path may be missing in the store of this machine. Rejects with a Complaint. */
export async function findNamedPath(machine: Machine, arg: string): Promise<string> {
  const direct = topOf(arg)
  if (direct !== undefined) return direct
  const { dir, realDir } = findNixStore(machine.env)
  const file = resolve(machine.workingDir, arg)
  try {
    const real = await realpath(file)
    const top = topOf(real.startsWith(`${realDir}/`) ? `${dir}${real.slice(realDir.length)}` : real)
    if (top !== undefined) return top
  } catch (error) {
    const named = await followLinks(file)
    if (named !== undefined) return named
    throw new Complaint(
      'usage',
      `"${arg}" is not a store path (like /nix/store/<hash>-<name>) or a link to one: ${reasonOf(error)}`,
    )
  }
  throw new Complaint('usage', `"${arg}" is not a store path (like /nix/store/<hash>-<name>) or a link to one`)
}

export async function findNamedPaths(machine: Machine, args: readonly string[]): Promise<string[]> {
  return [...new Set(await Promise.all(args.map((arg) => findNamedPath(machine, arg))))]
}

const maxLinks = 40

/** To a path that is missing here, as where the store is in another place. */
async function followLinks(file: string): Promise<string | undefined> {
  let at = file
  for (let followed = 0; followed < maxLinks; followed++) {
    const target = await readlink(at).catch(() => undefined)
    if (target === undefined) return undefined
    at = resolve(dirname(at), target)
    const top = topOf(at)
    if (top !== undefined) return top
  }
  return undefined
}

function topOf(path: string): string | undefined {
  return /^(?:\/[^/]+)+\/[0-9a-df-np-sv-z]{32}-[0-9A-Za-z+\-._?=]{1,211}(?=\/|$)/.exec(path)?.[0]
}
