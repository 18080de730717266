/**
 * The real Nix, kept to folders of ours: its own configuration, its own cache of narinfos, scratch stores named by
 * `--store`.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from './children.ts'
import { workDir } from './work-dir.ts'

const configuration = [
  'build-users-group =',
  'sandbox = false',
  'experimental-features = nix-command',
  'fsync-metadata = false',
  '',
]

/** Environment of a Nix that reads and writes only below `home`. */
export function nixEnvironment(home: string): NodeJS.ProcessEnv {
  const confDir = join(home, 'conf')
  mkdirSync(confDir, { recursive: true })
  writeFileSync(join(confDir, 'nix.conf'), configuration.join('\n'))
  return {
    PATH: process.env.PATH,
    HOME: home,
    XDG_CACHE_HOME: join(home, 'cache'),
    NIX_CONF_DIR: confDir,
    LANG: 'C.UTF-8',
  }
}

export interface Registration {
  readonly storePath: string
  /** 64 hexadecimal digits. */
  readonly sha256: string
  readonly narSize: number
  readonly deriver: string
  readonly references: readonly string[]
}

/** Registers paths as valid in the store below `root`, all at once. */
export async function registerPaths(root: string, paths: Iterable<Registration>): Promise<void> {
  const lines: string[] = []
  for (const path of paths) {
    lines.push(
      path.storePath,
      path.sha256,
      String(path.narSize),
      path.deriver,
      String(path.references.length),
      ...path.references,
    )
  }
  await nixStore(['--store', root, '--load-db'], { input: `${lines.join('\n')}\n` })
}

/** Lets real Nix hash every file of the store below `root` and compare with its records. */
export async function verifyStore(root: string): Promise<void> {
  await nixStore(['--store', root, '--verify', '--check-contents'], {})
}

async function nixStore(args: readonly string[], options: { readonly input?: string }): Promise<void> {
  await runCommand('nix-store', args, {
    ...options,
    env: nixEnvironment(join(workDir, 'nix-home')),
    timeoutSeconds: 300,
  })
}

export interface SigningKey {
  readonly name: string
  readonly secretKeyFile: string
  /** `name:base64`, as in `trusted-public-keys`. */
  readonly publicKey: string
  readonly key: KeyObject
}

/** The key both servers' narinfos are signed with, made by real Nix on first use. */
export async function loadSigningKey(): Promise<SigningKey> {
  const name = 'bench-1'
  const secretKeyFile = join(workDir, 'key.secret')
  const publicKeyFile = join(workDir, 'key.public')
  if (!existsSync(publicKeyFile)) {
    await runCommand('nix-store', ['--generate-binary-cache-key', name, secretKeyFile, publicKeyFile], {
      env: nixEnvironment(join(workDir, 'nix-home')),
    })
  }
  const seed = Buffer.from(readFileSync(secretKeyFile, 'utf8').split(':')[1]!, 'base64').subarray(0, 32)
  // RFC 8410: this prefix and a 32-byte seed make an Ed25519 private key in PKCS #8.
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return {
    name,
    secretKeyFile,
    publicKey: readFileSync(publicKeyFile, 'utf8').trim(),
    key: createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }),
  }
}
