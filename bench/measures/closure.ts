/**
 * What a user waits for: a whole closure fetched by real Nix, checked, unpacked and registered. And what it costs on
 * the wire.
 */
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeNetrc } from '../burrow.ts'
import { type Endpoint, urlOf } from '../cache.ts'
import { runCommand } from '../children.ts'
import { type Bench, interleave, type Measure } from '../measure.ts'
import { nixEnvironment } from '../nix.ts'
import { workDir } from '../work-dir.ts'

export const closureCopy: Measure = {
  name: 'closure',
  what: 'closure by real nix copy, 25 connections, larder warm',
  unit: 's',
  target: { of: 'ratio', relation: '≤', value: 1.3 },
  hasReference: true,
  async run(bench) {
    const { reference, burrow } = await bench.compressed()
    const rounds = await interleave(
      () => copyClosure(bench, reference),
      () => copyClosure(bench, burrow),
      { rounds: bench.longRounds },
    )
    return { rounds }
  },
}

/**
 * Seconds that `nix copy` of the whole store into a new one takes; signatures are required and every NAR hash is
 * checked.
 */
async function copyClosure(bench: Bench, endpoint: Endpoint): Promise<number> {
  const home = mkdtempSync(join(findRoom(bench), 'burrow-bench-'))
  try {
    const settings = {
      'http-connections': '25',
      'netrc-file': writeNetrc(),
      'trusted-public-keys': bench.key.publicKey,
      'require-sigs': 'true',
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['--option', name, value])
    const args = [
      'copy',
      '--from',
      urlOf(endpoint),
      '--to',
      `local?root=${join(home, 'destination')}`,
      ...options,
      bench.store.root.storePath,
    ]
    return (await runCommand('nix', args, { env: nixEnvironment(home), timeoutSeconds: 120 })).seconds
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

export const wireBytes: Measure = {
  name: 'wire-bytes',
  what: 'bytes on the wire for the closure (narinfos and NARs), against raw NARs',
  unit: 'MB',
  target: { of: 'ratio', relation: '≤', value: 0.34 },
  hasReference: true,
  async run(bench) {
    const { burrow } = await bench.compressed()
    const raw = burrow.links.reduce((sum, link) => sum + link.object.narSize, 0)
    const wire = burrow.links.reduce((sum, link) => sum + link.bytes! + link.narInfoBytes, 0)
    return { rounds: [{ reference: raw / 1e6, burrow: wire / 1e6 }] }
  },
}
