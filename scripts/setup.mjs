// Installs what is missing, and nothing when nothing is: run by `npm start` and `npm test` before they do their work.
// Plain JavaScript for Node 20, which is what may be there before the dependencies (Node 24 among them) are.
//   node scripts/setup.mjs           the npm packages, and the client that the cache gives away (scripts/bundle.mjs)
//   node scripts/setup.mjs --test    those and, on Debian as root, Nix itself, the tools of systemd, and a browser
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * Which command comes with which Debian package. Without Nix most tests fail; without the others those that need them
 * are skipped, and say so.
 */
const tools = {
  'nix-store': 'nix-bin',
  'systemd-analyze': 'systemd',
  groff: 'groff-base',
  curl: 'curl',
  ip: 'iproute2',
  chromium: 'chromium',
}

installPackages()
bundle()
if (process.argv.includes('--test')) installTools()

function installPackages() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const stamp = join(root, 'node_modules', '.setup-stamp')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return
  say('installing the npm packages (only when package-lock.json has changed)')
  runNpm()
  writeFileSync(stamp, wanted)
}

/**
 * npm by itself asks a registry that does not answer three times, up to five minutes each and for each package, and
 * says nothing meanwhile. So one small question goes first; the downloads then have the time they need.
 */
function runNpm() {
  const silenceMs = 30_000
  const complaint = `the npm registry did not answer within ${silenceMs / 1000} s, or refused. See that this machine reaches it (behind a proxy: "npm config set proxy URL"), and start again`
  run(
    'npm',
    [
      'view',
      'commander',
      'version',
      '--loglevel=error',
      '--progress=false',
      `--fetch-timeout=${silenceMs}`,
      '--fetch-retries=0',
    ],
    complaint,
  )
  run(
    'npm',
    ['ci', '--loglevel=error', `--fetch-timeout=${silenceMs}`, '--fetch-retries=1'],
    'npm ci failed, see above',
  )
}

/**
 * From the sources as they are, each time: it takes a tenth of a second, and the file is written only when it differs.
 */
function bundle() {
  const { status } = spawnSync(process.execPath, [join(root, 'scripts/bundle.mjs'), 'client'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) say('the client in one file was not made, see above: /v1/client.mjs gives an older one, or none')
}

function installTools() {
  const missing = Object.entries(tools).flatMap(([command, name]) => (isOnPath(command) ? [] : [name]))
  const canInstall = process.platform === 'linux' && process.getuid?.() === 0 && isOnPath('apt-get')
  if (missing.length > 0 && canInstall) installDebianPackages(missing)
  else if (!isOnPath('nix-store'))
    say(
      'nix-store is not on PATH and cannot be installed here (that needs Debian and root): the tests that need a real Nix will fail. Install Nix and run again.',
    )
  makeMountPoint()
}

function installDebianPackages(names) {
  say(`installing ${names.join(', ')} from Debian: the tests use a real Nix, a real systemd and a real browser`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '-q'], 'apt-get update failed: is a Debian mirror reachable?', env)
  run(
    'apt-get',
    ['install', '-y', '-q', '--no-install-recommends', ...names],
    `apt-get install ${names.join(' ')} failed`,
    env,
  )
}

/** Tests bind a scratch store onto /nix in a private mount namespace; for that the directory must exist. */
function makeMountPoint() {
  if (process.platform === 'linux' && process.getuid?.() === 0) mkdirSync('/nix', { recursive: true })
}

function isOnPath(command) {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function run(command, args, complaint, env = process.env) {
  // Installers talk to standard error, so that standard output holds only what the command itself prints.
  const { status, error } = spawnSync(command, args, { cwd: root, env, stdio: ['ignore', 2, 2] })
  if (status === 0) return
  say(`${complaint}${error ? ` (${error.message})` : ''}`)
  process.exit(1)
}

function say(text) {
  process.stderr.write(`setup: ${text}\n`)
}
