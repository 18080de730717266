// Makes single files of what would else need many: dist/bundles/NAME.mjs, written only when it has changed. Plain
// JavaScript for Node 20; needs esbuild, from npm or on PATH.
//   npm run bundle                         all of them
//   node scripts/bundle.mjs client         the commands of the near end, for any Node from 22.16, as the cache serves them at /v1/client.mjs
//   node scripts/bundle.mjs cloudflare     Cloudflare's SDK: 0.7 MB here, 120 MB as a package
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dir = join(root, 'dist/bundles')
const read = (path) => readFileSync(join(root, path), 'utf8')

/** The file's name is written in many ways; a package without one names its licence in package.json. */
function licenseOf(name) {
  const packageDir = join(root, 'node_modules', name)
  const { version, license, author } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'))
  const file = readdirSync(packageDir).find((entry) => /^licen[cs]e(?:\.(?:md|txt))?$/i.test(entry))
  const holder = typeof author === 'string' ? author : author?.name
  const text =
    file === undefined ? `${license}${holder ? `, ${holder}` : ''}` : readFileSync(join(packageDir, file), 'utf8')
  return `/*! ${name} ${version}\n\n${text.trim()}\n*/`
}

const { version } = JSON.parse(read('package.json'))

/**
 * In front of everything, for Nodes that could not even load the rest: CommonJS inside, so that nothing is imported
 * before.
 */
const clientHead = `#!/usr/bin/env node
// The client of a Burrow cache, version ${version}: node FILE push --to https://cache.example.org ./result
import { createRequire } from 'node:module'
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 16)) {
  process.stderr.write('Cannot run on Node ' + process.versions.node + ': this client needs Node 22.16 or newer. Install it, or push with "npx nix-burrow push", which brings its own\\n')
  process.exit(1)
}
// SQLite is called experimental there, which is no business of those who push.
process.removeAllListeners('warning')
process.on('warning', (warning) => warning.name === 'ExperimentalWarning' || console.error(warning.stack))
const require = createRequire(import.meta.url)
const fileUrl = import.meta.url`

const bundles = {
  client: () => [
    'appliance/client-main.ts',
    '--format=cjs',
    '--target=node20',
    `--define:BUNDLED_VERSION=${JSON.stringify(version)}`,
    // What is CommonJS inside has no import.meta: the head names the file. Other members are not read in a single file.
    '--define:import.meta.url=fileUrl',
    '--log-override:empty-import-meta=silent',
    `--banner:js=${clientHead}`,
  ],
  cloudflare: () => ['appliance/cloudflare/sdk.ts', '--format=esm', '--target=node24'],
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(bundles)
for (const name of names) bundle(name, bundles[name]())

function bundle(name, [entry, ...options]) {
  const scratch = mkdtempSync(join(tmpdir(), 'burrow-bundle-'))
  try {
    const made = join(scratch, `${name}.mjs`)
    const common = [
      '--bundle',
      '--platform=node',
      '--minify-syntax',
      '--minify-whitespace',
      '--log-level=warning',
      '--legal-comments=inline',
    ]
    const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env.PATH}` }
    const meta = join(scratch, 'meta.json')
    const { status, error } = spawnSync(
      'esbuild',
      [entry, ...common, ...options, `--outfile=${made}`, `--metafile=${meta}`],
      {
        cwd: root,
        env,
        stdio: ['ignore', 2, 2],
      },
    )
    if (status !== 0)
      throw new Error(
        `esbuild failed for ${entry}${error ? `: ${error.message}` : ''}. Run "npm install" (with the development packages) first`,
      )
    const content = [
      readFileSync(made, 'utf8'),
      ...packagesIn(JSON.parse(readFileSync(meta, 'utf8'))).map(licenseOf),
      '',
    ].join('\n')
    const place = join(dir, `${name}.mjs`)
    if (existsSync(place) && readFileSync(place, 'utf8') === content) return
    mkdirSync(dir, { recursive: true })
    const next = `${place}.${process.pid}`
    writeFileSync(next, content)
    renameSync(next, place)
    process.stderr.write(`bundle: wrote dist/bundles/${name}.mjs\n`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** Whose code is in it, by name. */
function packagesIn({ outputs }) {
  const files = Object.values(outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  )
  const names = files.map((file) => /(?:^|.*\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
  return [...new Set(names)].filter((name) => name !== undefined).sort()
}
