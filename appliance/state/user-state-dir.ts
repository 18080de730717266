import { join } from 'node:path'

import type { Machine } from '../machine.ts'

/** `$XDG_STATE_HOME/burrow`, by default `~/.local/state/burrow`. The XDG specification: relative paths are to be ignored. */
export function userStateDir({ env, homeDir }: Pick<Machine, 'env' | 'homeDir'>): string {
  const stateHome = env.XDG_STATE_HOME?.startsWith('/') === true ? env.XDG_STATE_HOME : join(homeDir, '.local/state')
  return join(stateHome, 'burrow')
}
