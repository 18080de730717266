/**
 * A real Nix store below `bench/.work/store`, built once: files, database, and beside it the raw NAR of every object
 * for the reference server. A manifest is written last, so a build that was broken off is done again.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { encodeNix32 } from '../src/nix/nix32.ts'
import {
  findPackageNames,
  findSourceFiles,
  type SourceFile,
  writeSingleFile,
  writeTinyFiles,
  writeTree,
} from './content.ts'
import { writeNarFile } from './nar-file.ts'
import { type Registration, registerPaths, verifyStore } from './nix.ts'
import { say } from './progress.ts'
import { seededRandom, shuffled } from './statistics.ts'
import { drawHashPart, type ObjectKind, type PlannedObject, planStore } from './store-plan.ts'
import { workDir } from './work-dir.ts'

/** Counts up whenever a store built by older code must not be reused. */
const version = 5

export interface StoreObject {
  readonly storePath: string
  readonly hashPart: string
  readonly kind: ObjectKind
  /** 52 Nix32 characters. */
  readonly narHash: string
  readonly narSize: number
  readonly deriver: string
  /** Store paths, sorted. */
  readonly references: readonly string[]
}

export interface BenchStore {
  readonly realStoreDir: string
  readonly database: string
  readonly objects: readonly StoreObject[]
  /** The object whose closure is the whole store. */
  readonly root: StoreObject
  readonly hugeFile: StoreObject
  readonly tinyFiles: StoreObject
}

const storeRoot = join(workDir, 'store')
const manifestFile = join(workDir, 'store.json')
/** Raw NARs, `<hash part>.nar`. */
export const rawNarDir = join(workDir, 'www', 'raw', 'nar')

export async function openStore(): Promise<BenchStore> {
  const objects = readManifest() ?? (await buildStore())
  const find = (kind: ObjectKind): StoreObject => objects.find((object) => object.kind === kind)!
  return {
    ...locate(storeRoot),
    objects,
    root: find('root'),
    hugeFile: find('huge-file'),
    tinyFiles: find('tiny-files'),
  }
}

/** Where a file of the store really lies. */
export function realPathOf(store: BenchStore, object: StoreObject): string {
  return join(store.realStoreDir, object.storePath.slice('/nix/store/'.length))
}

export function describeStore(store: BenchStore): string {
  const bytes = store.objects.reduce((sum, object) => sum + object.narSize, 0)
  const sizes = store.objects.map((object) => object.narSize).sort((a, b) => a - b)
  return `${store.objects.length} store objects, ${(bytes / 1e6).toFixed(0)} MB of NARs, median ${((sizes[sizes.length >> 1] ?? 0) / 1e3).toFixed(0)} KB`
}

function locate(root: string): { realStoreDir: string; database: string } {
  return { realStoreDir: join(root, 'nix/store'), database: join(root, 'nix/var/nix/db/db.sqlite') }
}

function readManifest(): StoreObject[] | undefined {
  if (!existsSync(manifestFile)) return undefined
  const manifest = JSON.parse(readFileSync(manifestFile, 'utf8')) as { version: number; objects: StoreObject[] }
  return manifest.version === version ? manifest.objects : undefined
}

async function buildStore(): Promise<StoreObject[]> {
  rmSync(storeRoot, { recursive: true, force: true })
  rmSync(dirname(rawNarDir), { recursive: true, force: true })
  const { realStoreDir } = locate(storeRoot)
  mkdirSync(realStoreDir, { recursive: true })
  mkdirSync(rawNarDir, { recursive: true })
  const files = findSourceFiles()
  const plan = planStore(findPackageNames())
  say(`building a store of ${plan.length} objects from ${files.length} files of this machine (once)`)
  const random = seededRandom(plan.length)
  const registrations: Registration[] = plan.map((planned, index) => {
    if (index % 300 === 299) say(`${index + 1} objects written`)
    const target = join(realStoreDir, planned.storePath.slice('/nix/store/'.length))
    writeContent(target, planned, files, random)
    return packObject(target, planned, plan)
  })
  say('registering them with real Nix, which then hashes every file itself')
  await registerPaths(storeRoot, registrations)
  await verifyStore(storeRoot)
  const objects = registrations.map((registration, index) => toStoreObject(registration, plan[index]!.kind))
  writeFileSync(manifestFile, JSON.stringify({ version, objects }))
  return objects
}

function writeContent(
  target: string,
  planned: PlannedObject,
  files: readonly SourceFile[],
  random: () => number,
): void {
  const start = Math.floor(random() * files.length)
  switch (planned.kind) {
    case 'file':
      return writeSingleFile(target, planned.bytes, files, start)
    case 'huge-file':
      // From all over the machine: neighbours alone could be 500 MB of one kind, and this object is a third of the
      // whole.
      return writeSingleFile(target, planned.bytes, shuffled(files, random), 0)
    case 'tiny-files':
      return writeTinyFiles(target, planned.bytes, files, random)
    default:
      return writeTree(target, planned.bytes, files, start)
  }
}

function packObject(tree: string, planned: PlannedObject, plan: readonly PlannedObject[]): Registration {
  const { sha256, bytes } = writeNarFile(tree, join(rawNarDir, `${hashPartOf(planned.storePath)}.nar`))
  const references = planned.references.map((index) => plan[index]!.storePath).sort()
  return { storePath: planned.storePath, sha256, narSize: bytes, deriver: planned.deriver, references }
}

function toStoreObject(registration: Registration, kind: ObjectKind): StoreObject {
  const { storePath, sha256, narSize, deriver, references } = registration
  return {
    storePath,
    hashPart: hashPartOf(storePath),
    kind,
    narHash: encodeNix32(Buffer.from(sha256, 'hex')),
    narSize,
    deriver,
    references,
  }
}

function hashPartOf(storePath: string): string {
  return storePath.slice('/nix/store/'.length, '/nix/store/'.length + 32)
}

export interface CrowdedDatabase {
  readonly realStoreDir: string
  readonly database: string
  readonly hashPart: string
}

/**
 * A database with 100,000 valid paths (whose files do not exist), made once: for the time from start to first answer.
 */
export async function openCrowdedDatabase(): Promise<CrowdedDatabase> {
  const root = join(workDir, 'crowded')
  const doneFile = join(workDir, 'crowded.json')
  const random = seededRandom(100_000)
  const paths = Array.from({ length: 100_000 }, (_, index) => `/nix/store/${drawHashPart(random)}-object-${index}`)
  const result = { ...locate(root), hashPart: hashPartOf(paths[50_000]!) }
  if (existsSync(doneFile)) return result
  say('registering 100,000 paths in a second database with real Nix (once)')
  rmSync(root, { recursive: true, force: true })
  mkdirSync(result.realStoreDir, { recursive: true })
  const registrations = paths.map((storePath, index): Registration => {
    const sha256 = Array.from({ length: 8 }, () =>
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('')
    const references = [
      ...new Set(Array.from({ length: Math.min(index, 5) }, () => paths[Math.floor(random() * index)]!)),
    ]
    return { storePath, sha256, narSize: 1_000 + index, deriver: '', references }
  })
  await registerPaths(root, registrations)
  writeFileSync(doneFile, '{}')
  return result
}
