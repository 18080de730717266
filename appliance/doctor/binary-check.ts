/** Checks that cloudflared is installed and new enough. */

import { pinnedVersion } from '../tunnel/find/release.ts'
import { findVersionFault, isOlder, leastVersion } from '../tunnel/find/version.ts'
import { type Binary, LaunchFault } from '../tunnel/launch/launch.ts'
import type { TunnelSettings } from '../tunnel/settings.ts'
import { type Findings, fail, ok, warn } from './finding.ts'

export async function* checkBinary(
  { binary: wanted, isOptional }: TunnelSettings,
  findBinary: () => Promise<Binary | undefined>,
  now: number,
): Findings {
  const install = 'run "burrow tunnel install", or install cloudflared'
  const update = 'update it the way it was installed, or run "burrow tunnel install"; then restart Burrow'
  try {
    const binary = await findBinary()
    if (binary === undefined) {
      const what = wanted === undefined ? 'cloudflared is not installed' : `"${wanted}" does not exist`
      return yield isOptional
        ? warn('cloudflared', `${what}, so the cache is only reachable on this machine`, install)
        : fail('cloudflared', what, install)
    }
    const { path, version } = binary
    const fault = version === undefined ? undefined : (findVersionFault(version, now) ?? findNewer(version))
    if (version === undefined)
      yield warn(
        'cloudflared',
        `${path} does not report its version`,
        `check that it is cloudflared ${leastVersion} or newer`,
      )
    else if (fault !== undefined) yield warn('cloudflared', `${path} is version ${version}, which ${fault}`, update)
    else yield ok('cloudflared', `${path}, version ${version}`)
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    yield fail('cloudflared', error.message, error.remedy)
  }
}

function findNewer(version: string): string | undefined {
  return isOlder(version, pinnedVersion) ? `lacks the security fixes of ${pinnedVersion}` : undefined
}
