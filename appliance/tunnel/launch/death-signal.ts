/**
 * `setpriv --pdeathsig KILL -- cloudflared …` (util-linux): the kernel then kills the connector when Burrow dies
 * for any reason. An orphaned connector would stay registered at the edge and answer 502.
 * setpriv becomes the program, so there is no process in between.
 */
import { spawn } from 'node:child_process'

import type { Log } from '../../../src/index.ts'
import { findOnPath } from '../../search-path.ts'
import type { TunnelClock } from '../tunnel-clock.ts'

const probeMs = 5_000
const deathSignal = ['--pdeathsig', 'KILL', '--'] as const

/** Like `findDeathSignal`, with results cached: they do not change, and each check starts a process. */
export function createDeathSignalFinder(
  clock: TunnelClock,
  log: Log,
): (searchPath: string) => Promise<readonly string[]> {
  const known = new Map<string, readonly string[]>()
  return async (searchPath) => {
    const found = known.get(searchPath) ?? (await findDeathSignal(searchPath, clock))
    if (found.length === 0 && !known.has(searchPath))
      log.debug({ searchPath }, 'setpriv was not found: if Burrow is killed, its next start ends the connector')
    known.set(searchPath, found)
    return found
  }
}

/**
 * Arguments to put before a command; empty if setpriv is missing or does not support this (an old one, not Linux).
 * Never rejects.
 */
export async function findDeathSignal(searchPath: string, clock: TunnelClock): Promise<readonly string[]> {
  const setpriv = findOnPath('setpriv', searchPath)
  return setpriv !== undefined && (await works(setpriv, clock)) ? [setpriv, ...deathSignal] : []
}

/** It runs itself: the only program that is known to exist. */
function works(setpriv: string, clock: TunnelClock): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(setpriv, [...deathSignal, setpriv, '--version'], { stdio: 'ignore', env: {} })
    const cancel = clock.after(probeMs, () => child.kill('SIGKILL'))
    const settle = (isGood: boolean) => {
      cancel()
      resolve(isGood)
    }
    child.on('error', () => settle(false))
    child.on('exit', (code) => settle(code === 0))
  })
}
