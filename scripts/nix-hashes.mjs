// Writes nixos/dependencies.json: what npm makes of package-lock.json, as the hash Nix compares with
// (nixos/node-modules.nix). Run after every change of the lock file.
//   npm run nix-hashes        needs npm and, for nix-hash, Nix
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const common = [
  'install',
  '--no-save',
  '--omit=optional',
  '--ignore-scripts',
  '--no-bin-links',
  '--no-audit',
  '--no-fund',
  '--no-update-notifier',
  '--loglevel=error',
]

function hashOf(flags) {
  const dir = mkdtempSync(join(tmpdir(), 'burrow-nix-hashes-'))
  try {
    for (const name of ['package.json', 'package-lock.json', '.npmrc']) copyFileSync(join(root, name), join(dir, name))
    const options = { cwd: dir, env: { ...process.env, HOME: dir }, stdio: ['ignore', 'pipe', 'inherit'] }
    execFileSync('npm', [...common, ...flags], options)
    execFileSync(
      'sh',
      [
        '-c',
        'rm -f node_modules/.package-lock.json && find node_modules -type d -empty -delete && mkdir out && mv node_modules out/',
      ],
      options,
    )
    return execFileSync('nix-hash', ['--type', 'sha256', '--base32', 'out'], options).toString().trim()
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

const lockSha256 = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex')
const hashes = { lockSha256, production: hashOf(['--omit=dev']), development: hashOf([]) }
writeFileSync(join(root, 'nixos', 'dependencies.json'), `${JSON.stringify(hashes, null, 2)}\n`)
process.stderr.write(
  `wrote nixos/dependencies.json: ${hashes.production} (production), ${hashes.development} (development)\n`,
)
