/**
 * One step of the delta measures, as a process of its own so that its peak memory is known:
 *   node delta-runner.ts plain TARGET             zstd -3 of the NAR, as the larder has it
 *   node delta-runner.ts make BASE TARGET DELTA   writes the delta
 *   node delta-runner.ts read BASE TARGET DELTA   makes the NAR from it, and checks its hash
 * Prints `{"narBytes":…,"bytes":…,"seconds":…,"peakMebibytes":…}`.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import type { ChunkReader } from '../src/chunks.ts'
import { decodeDelta } from '../src/delta/decode.ts'
import { encodeDelta } from '../src/delta/encode.ts'
import { TreeFiles } from '../src/delta/tree-files.ts'
import { createCompressor } from '../src/nar/compressor.ts'
import { NarReader } from '../src/nar/nar-reader.ts'
import { verifiedReader } from '../src/nar/verify.ts'
import { formatSha256 } from '../src/nix/hash.ts'
import { streamReader } from '../src/stream-reader.ts'
import { findLayout } from '../test/nar/find-layout.ts'

const bufferBytes = 512 * 1024
const [step, ...paths] = process.argv.slice(2) as [string, string, string, string]
const trees = paths.slice(0, step === 'plain' ? 1 : 2).map((path) => {
  const layout = findLayout(path)
  const hash = createHash('sha256')
  readNar(layout, (bytes) => hash.update(bytes))
  return { layout, narHash: formatSha256(hash.digest()) }
})
const target = trees.at(-1)!
const started = performance.now()
const bytes = await run()
const seconds = (performance.now() - started) / 1_000
const peakMebibytes = process.resourceUsage().maxRSS / 1_024
process.stdout.write(JSON.stringify({ narBytes: target.layout.narSize, bytes, seconds, peakMebibytes }))

async function run(): Promise<number> {
  if (step === 'plain') return await compressPlainly()
  const base = trees[0]!
  const [, , deltaFile] = paths as [string, string, string]
  if (step === 'make') {
    const out = openSync(deltaFile, 'w')
    const length = await drain(encodeDelta(base, target), (chunk) => writeSync(out, chunk))
    closeSync(out)
    return length
  }
  const header = {
    baseNarHash: base.narHash,
    baseNarSize: base.layout.narSize,
    narHash: target.narHash,
    narSize: target.layout.narSize,
  }
  const delta = streamReader(createReadStream(deltaFile))
  return await drain(verifiedReader(decodeDelta(delta, new TreeFiles(base.layout.realPath), header), header))
}

async function compressPlainly(): Promise<number> {
  const compressor = createCompressor(target.layout.narSize, 3)
  let length = 0
  compressor.on('data', (chunk: Buffer) => {
    length += chunk.length
  })
  const ended = once(compressor, 'end')
  const reader = new NarReader(target.layout)
  while (reader.remaining > 0) {
    const buffer = Buffer.allocUnsafe(bufferBytes)
    if (!compressor.write(buffer.subarray(0, reader.read(buffer)))) await once(compressor, 'drain')
  }
  compressor.end()
  await ended
  return length
}

async function drain(reader: ChunkReader, take: (chunk: Uint8Array) => void = () => undefined): Promise<number> {
  let length = 0
  for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
    length += chunk.bytes.length
    take(chunk.bytes)
    chunk.release()
  }
  reader.close()
  return length
}

function readNar(layout: ConstructorParameters<typeof NarReader>[0], take: (bytes: Buffer) => void): void {
  const reader = new NarReader(layout)
  const buffer = Buffer.allocUnsafe(bufferBytes)
  for (let count = reader.read(buffer); count > 0; count = reader.read(buffer)) take(buffer.subarray(0, count))
}
