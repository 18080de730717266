/** A config read again while requests are under way: what changes at once, and what needs a restart. */
import { isDeepStrictEqual } from 'node:util'

import type { Config } from '../config/config.ts'

/** What a reload puts in force; of the log only its level. */
const live: readonly (keyof Config)[] = ['file', 'access', 'mutableUsers', 'signing', 'indexPage', 'contact', 'log']

/** Names of settings that differ and stay as they were until the next start. */
export function findRestartOnly(current: Config, next: Config): string[] {
  const names = Object.keys(next) as (keyof Config)[]
  const changed = names.filter((name) => !live.includes(name) && !isDeepStrictEqual(current[name], next[name]))
  const logs = (['format', 'requests'] as const).filter((name) => current.log[name] !== next.log[name])
  return [...changed, ...logs.map((name) => `log.${name}`)]
}
