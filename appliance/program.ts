/** `burrow`: argv in, exit code out. */
import process from 'node:process'

import { createMachine, ignoreBrokenPipes } from './process-machine.ts'
import { findOwnCommand, nameOwnCommandIn } from './terminal/own-command.ts'

// Created files are private unless a mode is given.
process.umask(0o077)
ignoreBrokenPipes()
nameOwnCommandIn(
  [process.stdout, process.stderr],
  findOwnCommand({ env: process.env, workingDir: process.cwd(), mainDir: import.meta.dirname }),
)

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(`Cannot run on Node ${process.versions.node}: Burrow needs Node 24 or newer\n`)
  process.exitCode = 1
} else {
  // Not before: older Nodes lack modules that are imported there.
  const commandLine = await import('./cli.ts').catch(explainMissingPackage)
  process.exitCode = (await commandLine?.runCommandLine(createMachine())) ?? 1
}

/** As in a checkout where npm did not run yet. */
function explainMissingPackage(error: NodeJS.ErrnoException): undefined {
  const [, name] = /^Cannot find package '([^']+)'/.exec(error.message) ?? []
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || name === undefined) throw error
  process.stderr.write(
    `Cannot start: the npm package "${name}" is not installed. Run "npm ci --omit=dev" in the folder of Burrow, above "${import.meta.dirname}"\n`,
  )
}
