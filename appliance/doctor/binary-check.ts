/** Whether there is a cloudflared to run, and whether it is new enough. */
import { type Binary, LaunchFault } from '../tunnel/launch.ts'
import type { TunnelSettings } from '../tunnel/settings.ts'
import { type Findings, fail, ok, warn } from './finding.ts'

/** Before it, cloudflared lacks JSON logs and token files in a form that Burrow relies on. */
const minimum = '2025.7.0'

export async function* checkBinary({ binary: wanted, isOptional }: TunnelSettings, findBinary: () => Promise<Binary | undefined>): Findings {
  const install = 'run "burrow tunnel install", or install cloudflared'
  try {
    const binary = await findBinary()
    if (binary === undefined) {
      const what = wanted === undefined ? 'there is no cloudflared' : `there is no "${wanted}"`
      return yield isOptional ? warn('cloudflared', `${what}, so this cache stays on this machine`, install) : fail('cloudflared', what, install)
    }
    const { path, version } = binary
    if (version === undefined) yield warn('cloudflared', `${path} does not tell its version`, `see that it is cloudflared, ${minimum} or newer`)
    else if (isOlder(version, minimum)) yield warn('cloudflared', `${path} is version ${version}, older than ${minimum}`, install)
    else yield ok('cloudflared', `${path}, version ${version}`)
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    yield fail('cloudflared', error.message, error.remedy)
  }
}

/** Versions are year.month.patch. One of another form (`DEV`) is somebody's own build. */
export function isOlder(version: string, than: string): boolean {
  const numbers = /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})/.exec(version)?.slice(1).map(Number)
  if (numbers === undefined) return false
  for (const [index, other] of than.split('.').map(Number).entries()) {
    if (numbers[index] !== other) return numbers[index]! < other
  }
  return false
}
