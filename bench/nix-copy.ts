/** `nix copy` from a binary cache into a new store; signatures are required and every NAR hash is checked. */
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { writeNetrc } from './burrow.ts'
import { type Endpoint, urlOf } from './cache.ts'
import { runCommand } from './children.ts'
import type { Bench } from './measure.ts'
import { nixEnvironment } from './nix.ts'
import { workDir } from './work-dir.ts'

/** Seconds that it takes. */
export async function copyPaths(
  bench: Bench,
  endpoint: Endpoint,
  paths: readonly string[],
  { flags = [], timeoutSeconds = 120 }: { flags?: readonly string[]; timeoutSeconds?: number } = {},
): Promise<number> {
  const home = mkdtempSync(join(findRoom(bench), 'burrow-bench-'))
  try {
    const settings = {
      'http-connections': '25',
      'netrc-file': writeNetrc(),
      'trusted-public-keys': bench.key.publicKey,
      'require-sigs': 'true',
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value])
    const to = `local?root=${join(home, 'destination')}`
    const args = ['copy', '--from', urlOf(endpoint), '--to', to, ...flags, ...options, ...paths]
    return (await runCommand('nix', args, { env: nixEnvironment(home), timeoutSeconds })).seconds
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
}

/** Memory rather than a disk, where there is enough of it: the disk's moods are not what is measured. */
function findRoom(bench: Bench): string {
  const wanted = 2 * bench.store.objects.reduce((sum, object) => sum + object.narSize, 0)
  const hasRoom = (dir: string): boolean => {
    if (!existsSync(dir)) return false
    const { bavail, bsize } = statfsSync(dir)
    return bavail * bsize > wanted
  }
  return ['/dev/shm', tmpdir()].find(hasRoom) ?? workDir
}
