/**
 * What the reference server serves besides the raw NARs: narinfos in both forms, and as compressed NARs the very bytes
 * that Burrow sends. Fetched from Burrow when they are not here yet, and again when its file hashes have changed
 * (another level, another zstd).
 */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { encodeNix32 } from '../src/nix/nix32.ts'
import { type Cache, type Endpoint, inParallel, type NarLink, readBody, readLinks } from './cache.ts'
import { runCommand } from './children.ts'
import { formatNarInfo } from './nar-info.ts'
import { wwwDir } from './nginx.ts'
import type { SigningKey } from './nix.ts'
import { say } from './progress.ts'
import { type BenchStore, rawNarDir } from './store.ts'

const zstDir = join(wwwDir, 'zst')

export function writeRawNarInfos(store: BenchStore, key: SigningKey): void {
  for (const object of store.objects) {
    const file = {
      url: `nar/${object.hashPart}.nar`,
      compression: 'none',
      fileHash: `sha256:${object.narHash}`,
      fileSize: object.narSize,
    } as const
    writeFileSync(join(wwwDir, 'raw', `${object.hashPart}.narinfo`), formatNarInfo(object, file, key))
  }
}

/** Lets Burrow compress what it has not compressed yet, and gives its links, all sizes known. */
export async function warmLarder(endpoint: Endpoint, store: BenchStore): Promise<NarLink[]> {
  const links = await readLinks(endpoint, store.objects)
  const cold = links.filter((link) => link.fileHash === undefined)
  if (cold.length === 0) return links
  say(`burrow compresses ${cold.length} NARs into its larder`)
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  await inParallel(cold, 4, (link) => readBody(endpoint, link.path, () => undefined, agent))
  agent.destroy()
  const warm = await readLinks(endpoint, store.objects)
  const unknown = warm.filter((link) => link.bytes === undefined)
  if (unknown.length > 0)
    throw new Error(`Cannot warm the larder: ${unknown.length} NARs have no FileSize after they were fetched`)
  return warm
}

/** Brings the reference's compressed NARs and their narinfos in line with Burrow's. */
export async function copyCompressedNars(burrow: Cache, key: SigningKey): Promise<void> {
  mkdirSync(join(zstDir, 'nar'), { recursive: true })
  const missing = burrow.links.filter((link) => !existsSync(compressedFile(link.fileHash!)))
  if (missing.length > 0) {
    say(`copying ${missing.length} compressed NARs for nginx`)
    rmSync(join(zstDir, 'nar'), { recursive: true })
    mkdirSync(join(zstDir, 'nar'))
    const agent = new Agent({ keepAlive: true, maxSockets: 4 })
    await inParallel(burrow.links, 4, (link) => copyOne(burrow, link, agent))
    agent.destroy()
  }
  for (const link of burrow.links) writeCompressedNarInfo(link, key)
}

async function copyOne(burrow: Cache, link: NarLink, agent: Agent): Promise<void> {
  const file = compressedFile(link.fileHash!)
  const hash = createHash('sha256')
  const handle = await open(`${file}.part`, 'w')
  const chunks: Buffer[] = []
  await readBody(burrow, link.path, (chunk) => chunks.push(chunk), agent)
  for (const chunk of chunks) {
    hash.update(chunk)
    await handle.write(chunk)
  }
  await handle.close()
  const found = `sha256:${encodeNix32(hash.digest())}`
  if (found !== link.fileHash)
    throw new Error(`Cannot use ${link.path}: its bytes hash to ${found}, its narinfo says ${link.fileHash}`)
  linkSync(`${file}.part`, file)
  rmSync(`${file}.part`)
}

/**
 * For the harness's own check (`--against-itself`), where no Burrow runs: compressed NARs made with the command `zstd
 * -3`.
 */
export async function makeCompressedNars(store: BenchStore, key: SigningKey): Promise<void> {
  if (
    existsSync(join(zstDir, 'nar')) &&
    store.objects.every((object) => existsSync(join(zstDir, `${object.hashPart}.narinfo`)))
  )
    return
  mkdirSync(join(zstDir, 'nar'), { recursive: true })
  say('compressing every NAR with zstd -3')
  await inParallel(store.objects, 2, async (object) => {
    const part = join(zstDir, 'nar', `${object.hashPart}.part`)
    await runCommand('zstd', [
      '-3',
      '-q',
      '-f',
      '--single-thread',
      join(rawNarDir, `${object.hashPart}.nar`),
      '-o',
      part,
    ])
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(part)) hash.update(chunk as Buffer)
    const fileHash = `sha256:${encodeNix32(hash.digest())}`
    rmSync(compressedFile(fileHash), { force: true })
    linkSync(part, compressedFile(fileHash))
    rmSync(part)
    writeCompressedNarInfo(
      { object, path: '', bytes: statSync(compressedFile(fileHash)).size, fileHash, narInfoBytes: 0 },
      key,
    )
  })
}

function compressedFile(fileHash: string): string {
  return join(zstDir, 'nar', `${fileHash.slice('sha256:'.length)}.nar.zst`)
}

function writeCompressedNarInfo(link: NarLink, key: SigningKey): void {
  const { object, fileHash, bytes } = link
  const url = `nar/${fileHash!.slice('sha256:'.length)}.nar.zst`
  const text = formatNarInfo(object, { url, compression: 'zstd', fileHash: fileHash!, fileSize: bytes! }, key)
  writeFileSync(join(zstDir, `${object.hashPart}.narinfo`), text)
}
