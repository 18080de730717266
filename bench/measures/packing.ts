/**
 * Work that only a cache with a live store does: packing very many files, and compressing for the first client.
 * Compared with the tools that do only that.
 */
import { join } from 'node:path'
import { readBody, readLinks } from '../cache.ts'
import { runCommand } from '../children.ts'
import { runDownloads } from '../downloads.ts'
import { interleave, type Measure } from '../measure.ts'
import { nixEnvironment } from '../nix.ts'
import { rawNarDir, realPathOf } from '../store.ts'
import { workDir } from '../work-dir.ts'
import { toRequests } from './nars.ts'

export const tinyFiles: Measure = {
  name: 'tiny-files',
  what: 'raw NAR, 20,000 tiny files, against nix-store --dump',
  unit: 'MB/s',
  target: { of: 'ratio', relation: '>', value: 1 },
  hasReference: false,
  async run(bench) {
    const { burrow } = await bench.raw()
    const megabytes = bench.store.tinyFiles.narSize / 1e6
    const links = burrow.links.filter((link) => link.object.kind === 'tiny-files')
    const dump = async (): Promise<number> => {
      const env = nixEnvironment(join(workDir, 'nix-home'))
      return (
        megabytes /
        (
          await runCommand('nix-store', ['--dump', realPathOf(bench.store, bench.store.tinyFiles)], {
            env,
            discardOutput: true,
          })
        ).seconds
      )
    }
    const fetch = async (): Promise<number> =>
      (await runDownloads(burrow, { connections: 1, passes: 1, requests: toRequests(links) })).bytesPerSecond / 1e6
    return { rounds: await interleave(dump, fetch, bench) }
  },
}

export const firstFetch: Measure = {
  name: 'first-fetch',
  what: 'first fetch (compressing) of the 500 MB path, against zstd -3 --single-thread',
  unit: 'MB/s of NAR',
  target: { of: 'ratio', relation: '≥', value: 0.8 },
  hasReference: false,
  async run(bench) {
    const { hugeFile } = bench.store
    const megabytes = hugeFile.narSize / 1e6
    const compress = async (): Promise<number> => {
      const args = ['-3', '--single-thread', '-q', '-c', join(rawNarDir, `${hugeFile.hashPart}.nar`)]
      return megabytes / (await runCommand('zstd', args, { discardOutput: true })).seconds
    }
    const fetch = async (): Promise<number> => {
      await using burrow = await bench.fresh('burrow-first-fetch', { compression: 'zstd', larder: 'empty' })
      const [link] = await readLinks(burrow.endpoint, [hugeFile])
      const started = performance.now()
      await readBody(burrow.endpoint, link!.path, () => undefined)
      return megabytes / ((performance.now() - started) / 1_000)
    }
    return { rounds: await interleave(compress, fetch, { rounds: bench.longRounds, discardFirst: false }) }
  },
}
