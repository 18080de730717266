/**
 * The command that starts this program, put into the messages it prints. The code always writes `burrow`; on output
 * that becomes
 *
 *   burrow                       where `burrow` on PATH is this program
 *   npx nix-burrow               out of npm's cache
 *   bin/burrow.mjs               in a checkout, with that folder as working directory (`npm start`)
 *   /opt/burrow/bin/burrow.mjs   anywhere else
 */
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import type { Environment } from '../machine.ts'
import { isExecutableFile, listCandidates } from '../search-path.ts'
import { quoteForShell } from './shell-quote.ts'

export interface Start {
  readonly env: Environment
  readonly workingDir: string
  /** Of the file that runs: the program's folder is above it. */
  readonly mainDir: string
}

/** $BURROW_COMMAND overrides it, for wrappers. */
export function findOwnCommand({ env, workingDir, mainDir }: Start): string {
  if (env.BURROW_COMMAND) return env.BURROW_COMMAND
  const root = findRoot(mainDir)
  if (isOnPath(env.PATH, root)) return 'burrow'
  if (root.split('/').includes('_npx')) return 'npx nix-burrow'
  // The Nix package has its own wrapper instead of the launcher.
  const command = [join(root, 'bin/burrow.mjs'), join(root, '../../bin/burrow')].find(existsSync)
  if (command === undefined) return 'burrow'
  // npm changes to the package's folder; the user's shell does not.
  const there = env.npm_lifecycle_event === undefined ? workingDir : (env.INIT_CWD ?? workingDir)
  return quote(command === join(real(there), 'bin/burrow.mjs') ? 'bin/burrow.mjs' : command)
}

/** Of a program in one file, which is run by `node FILE`. */
export function findScriptCommand({
  env,
  workingDir,
  script,
}: Pick<Start, 'env' | 'workingDir'> & { readonly script: string }): string {
  if (env.BURROW_COMMAND) return env.BURROW_COMMAND
  const path = real(script)
  return `node ${quote(dirname(path) === real(workingDir) ? basename(path) : path)}`
}

function findRoot(mainDir: string): string {
  for (let dir = real(mainDir); dir !== dirname(dir); dir = dirname(dir))
    if (existsSync(join(dir, 'package.json'))) return dir
  return mainDir
}

const maxScriptBytes = 65_536

/**
 * A link to the launcher, or a script that starts a file of this program. What npm adds to PATH is there for its
 * scripts only.
 */
function isOnPath(path: string | undefined, root: string): boolean {
  const found = listCandidates('burrow', path)
    .filter((file) => !/\/node_modules\/.bin\/burrow$|\/node-gyp-bin\/burrow$/.test(file))
    .find(isExecutableFile)
  if (found === undefined) return false
  const target = real(found)
  return (
    target.startsWith(`${root}/`) ||
    (statSync(target).size <= maxScriptBytes && readFileSync(target, 'latin1').includes(`${root}/`))
  )
}

function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

function quote(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : quoteForShell(path)
}

/**
 * A command of this program, where one begins: at the beginning of a line, and behind a quote, a bracket, a colon, a
 * pipe or `sudo`. In JSON too.
 */
const ownCommand = /(?<=^\s*|(\\?)["`(]|: |\| |sudo )burrow(?= (?:[a-z][a-z-]*|--?[A-Za-z-]+|\[[a-z]))/gm

export function nameOwnCommand(text: string, command: string): string {
  if (command === 'burrow' || !text.includes('burrow ')) return text
  return text.replaceAll(ownCommand, (_name, backslash: string | undefined) =>
    backslash ? JSON.stringify(command).slice(1, -1) : command,
  )
}

/** All output passes through here, so that no message is missed. */
export function nameOwnCommandIn(outputs: readonly NodeJS.WriteStream[], command: string): void {
  if (command === 'burrow') return
  for (const output of outputs) {
    const write = output.write.bind(output) as (...given: unknown[]) => boolean
    output.write = (chunk: unknown, ...rest: unknown[]) =>
      write(typeof chunk === 'string' ? nameOwnCommand(chunk, command) : chunk, ...rest)
  }
}
