#!/usr/bin/env node
// Starts Burrow with a Node that can run it: the one that runs this, else the one that npm has put beside it. Plain
// JavaScript for Node 16 and newer.
//   bin/burrow.mjs …          dist/appliance/program.js in an installed package, appliance/program.ts in a checkout
// In a checkout appliance/main.ts is a link to it: an old Node refuses a file of TypeScript before it runs any of it,
// and looks at what a link leads to.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const leastMajor = 24
const root = dirname(dirname(fileURLToPath(import.meta.url)))

const main = ['dist/appliance/program.js', 'appliance/program.ts'].map((path) => join(root, path)).find(isStartable)
const node = findNode()
if (main === undefined) fail(`Cannot start: there is no Burrow in "${root}". Install it again`)
else if (node === undefined)
  fail(
    `Cannot run on Node ${process.versions.node}: Burrow needs Node ${leastMajor} or newer, and there is none beside it. ` +
      `Install Node ${leastMajor}, or let npm fetch it: run "npm install" in "${root}" (on Linux, x64 or arm64, without --omit=optional)`,
  )
else {
  // Node's own options, as for profiling, are valid only for the same executable.
  const options = node === process.execPath ? process.execArgv : []
  replaceThis(node, [...options, '--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)])
}

/** A checkout has its sources, and may have an older build of them too. */
function isStartable(path) {
  return existsSync(path) && !(path.endsWith('.js') && existsSync(join(root, 'appliance/program.ts')))
}

function findNode() {
  if (majorOf(process.versions.node) >= leastMajor) return process.execPath
  for (let dir = root; ; dir = dirname(dir)) {
    for (const path of [`node_modules/node-${process.platform}-${process.arch}/bin/node`, 'node_modules/.bin/node']) {
      const found = join(dir, path)
      if (existsSync(found) && isNewEnough(found)) return found
    }
    if (dir === dirname(dir)) return undefined
  }
}

function isNewEnough(path) {
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  return majorOf((stdout ?? '').replace(/^v/, '')) >= leastMajor
}

function majorOf(version) {
  return Number(version.split('.', 1)[0])
}

/**
 * In place of this process where Node can do that, so that signals, sockets of systemd and the process id stay as they
 * are; else as its child.
 */
function replaceThis(command, args) {
  if (typeof process.execve === 'function') {
    // It is called experimental, which is no business of those who run Burrow.
    process.removeAllListeners('warning')
    process.execve(command, [command, ...args], process.env)
  }
  const child = spawn(command, args, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`Cannot start "${command}": ${error.message}`))
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
}
