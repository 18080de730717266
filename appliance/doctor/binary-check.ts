/** Whether there is a cloudflared to run, and whether it is new enough. */

import { isOlder, leastVersion } from '../tunnel/find/version.ts'
import { type Binary, LaunchFault } from '../tunnel/launch/launch.ts'
import type { TunnelSettings } from '../tunnel/settings.ts'
import { type Findings, fail, ok, warn } from './finding.ts'

export async function* checkBinary({ binary: wanted, isOptional }: TunnelSettings, findBinary: () => Promise<Binary | undefined>): Findings {
  const install = 'run "burrow tunnel install", or install cloudflared'
  try {
    const binary = await findBinary()
    if (binary === undefined) {
      const what = wanted === undefined ? 'there is no cloudflared' : `there is no "${wanted}"`
      return yield isOptional ? warn('cloudflared', `${what}, so this cache stays on this machine`, install) : fail('cloudflared', what, install)
    }
    const { path, version } = binary
    if (version === undefined) yield warn('cloudflared', `${path} does not tell its version`, `see that it is cloudflared, ${leastVersion} or newer`)
    else if (isOlder(version, leastVersion)) yield warn('cloudflared', `${path} is version ${version}, older than ${leastVersion}`, install)
    else yield ok('cloudflared', `${path}, version ${version}`)
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    yield fail('cloudflared', error.message, error.remedy)
  }
}
