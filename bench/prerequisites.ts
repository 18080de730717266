/** What a run needs of the machine: installed where that is possible (Debian, as root), named where it is not. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runCommand } from './children.ts'
import { say } from './progress.ts'

/** Command to Debian package. */
const needed = { nginx: 'nginx-light', wrk: 'wrk', 'nix-store': 'nix-bin', zstd: 'zstd' } as const

export async function installPrerequisites(): Promise<void> {
  // Debian keeps nginx where only root's PATH looks.
  process.env.PATH = `${process.env.PATH ?? ''}${delimiter}/usr/sbin`
  const missing = findMissing()
  if (missing.length === 0) return
  const packages = missing.map((command) => needed[command])
  const installable = process.platform === 'linux' && process.getuid?.() === 0 && isOnPath('apt-get')
  if (!installable) {
    throw new Error(
      `Cannot run the benchmark: ${missing.join(', ')} not on PATH. Install (Debian's names): ${packages.join(' ')}`,
    )
  }
  say(`installing ${packages.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await runCommand('apt-get', ['update', '-q'], { env, timeoutSeconds: 300 })
  // Single-user mode as far as the packages know: otherwise Debian starts a freshly installed nginx as a service.
  await runCommand('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], {
    env: { ...env, RUNLEVEL: '1' },
    timeoutSeconds: 600,
  })
  const still = findMissing()
  if (still.length > 0)
    throw new Error(
      `Cannot run the benchmark: ${still.join(', ')} not on PATH even after installing ${packages.join(' ')}`,
    )
}

function findMissing(): (keyof typeof needed)[] {
  return (Object.keys(needed) as (keyof typeof needed)[]).filter((command) => !isOnPath(command))
}

function isOnPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
