/** The users in force: those of the config, and those that were added. A user of the config wins over one of its name. */
import type { User } from '../../src/index.ts'

/** `base` undefined: the cache is public, and stays so. */
export function mergeUsers(base: readonly User[] | undefined, added: readonly User[]): readonly User[] | undefined {
  if (base === undefined) return undefined
  const names = new Set(base.map(({ name }) => name))
  return [...base, ...added.filter(({ name }) => !names.has(name))]
}
