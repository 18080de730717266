/**
 * The client in one file, as a cache serves it at /v1/client.mjs: the near end's commands alone. scripts/bundle.mjs
 * makes it, and puts a look at Node's version in front, since older ones lack zstd (22.15) and rows of SQLite as arrays
 * (22.16).
 */
import process from 'node:process'

import { runProgram } from './command-line.ts'
import { versionCommand } from './commands/version.ts'
import { nearEndCommands } from './near-end-commands.ts'
import { createMachine, ignoreBrokenPipes } from './process-machine.ts'
import { findScriptCommand, nameOwnCommandIn } from './terminal/own-command.ts'

const notes = `
Exit codes:
  0    all went well
  1    it failed: the message says how
  2    the command line cannot be understood
  4    the cache refuses what was pushed: room, policy, or a conflict with --strict
  75   the cache cannot be reached, or made no progress for too long: worth running again
  77   the cache does not accept the login, or the user may not push
  78   a file that is named must be changed first
  130  interrupted (Ctrl-C)
  143  stopped by SIGTERM`

process.umask(0o077)
ignoreBrokenPipes()
nameOwnCommandIn(
  [process.stdout, process.stderr],
  findScriptCommand({ env: process.env, workingDir: process.cwd(), script: process.argv[1]! }),
)
runProgram(createMachine(), {
  description:
    'The client of a private Nix binary cache: sets up a machine to use it, relays it, and pushes store paths to it.',
  commands: [...nearEndCommands, versionCommand],
  notes,
  hasConfig: false,
}).then(
  (code) => {
    process.exitCode = code
  },
  (error: unknown) => {
    console.error(error)
    process.exitCode = 1
  },
)
