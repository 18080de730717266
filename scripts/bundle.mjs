// Makes single files of what would else need many: dist/bundles/NAME.mjs, written only when it has changed. Plain JavaScript for Node 20; needs esbuild, from npm or on PATH.
//   npm run bundle                         all of them
//   node scripts/bundle.mjs cloudflare     Cloudflare's SDK: 0.7 MB here, 120 MB as a package
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dir = join(root, 'dist/bundles')
const read = (path) => readFileSync(join(root, path), 'utf8')
const licenseOf = (name) => `/*! ${name} ${JSON.parse(read(`node_modules/${name}/package.json`)).version}\n\n${read(`node_modules/${name}/LICENSE`).trim()}\n*/`

const bundles = {
  cloudflare: () => ['appliance/cloudflare/sdk.ts', '--format=esm', '--target=node24', `--footer:js=${licenseOf('cloudflare')}`],
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(bundles)
for (const name of names) bundle(name, bundles[name]())

function bundle(name, [entry, ...options]) {
  mkdirSync(dir, { recursive: true })
  const scratch = mkdtempSync(join(dir, '.new-'))
  try {
    const made = join(scratch, `${name}.mjs`)
    const common = ['--bundle', '--platform=node', '--minify-syntax', '--minify-whitespace', '--log-level=warning', '--legal-comments=inline']
    const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}${delimiter}${process.env.PATH}` }
    const { status, error } = spawnSync('esbuild', [entry, ...common, ...options, `--outfile=${made}`], { cwd: root, env, stdio: ['ignore', 2, 2] })
    if (status !== 0)
      throw new Error(`esbuild failed for ${entry}${error ? `: ${error.message}` : ''}. Run "npm install" (with the development packages) first`)
    const place = join(dir, `${name}.mjs`)
    if (existsSync(place) && readFileSync(place).equals(readFileSync(made))) return
    renameSync(made, place)
    process.stderr.write(`bundle: wrote dist/bundles/${name}.mjs\n`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
