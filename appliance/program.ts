#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** `burrow`: argv in, exit code out. */
import process from 'node:process'

import { createMachine, ignoreBrokenPipes } from './process-machine.ts'
import { findOwnCommand, nameOwnCommandIn } from './terminal/own-command.ts'

// Whatever is created is the user's alone, unless somebody says otherwise.
process.umask(0o077)
ignoreBrokenPipes()
nameOwnCommandIn([process.stdout, process.stderr], findOwnCommand({ env: process.env, workingDir: process.cwd(), mainDir: import.meta.dirname }))

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(`Cannot run on Node ${process.versions.node}: Burrow needs Node 24 or newer\n`)
  process.exitCode = 1
} else {
  // Not before: older Nodes lack modules that are imported there.
  const { runCommandLine } = await import('./cli.ts')
  process.exitCode = await runCommandLine(createMachine())
}
