#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** `burrow`: argv in, exit code out. The only place that knows the process. */
import { fstatSync } from 'node:fs'
import { homedir, hostname } from 'node:os'
import process from 'node:process'

import type { Machine } from './machine.ts'
import { findOwnCommand, nameOwnCommandIn } from './terminal/own-command.ts'

// Whatever is created is the user's alone, unless somebody says otherwise.
process.umask(0o077)

/** systemd.exec(5), $JOURNAL_STREAM: device and inode of the stream; a child may inherit the variable and write elsewhere. */
function isJournal(descriptor: number): boolean {
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true })
    return process.env.JOURNAL_STREAM === `${dev}:${ino}`
  } catch {
    return false
  }
}

const machine: Machine = {
  args: process.argv.slice(2),
  env: process.env,
  workingDir: process.cwd(),
  homeDir: homedir(),
  hostName: hostname(),
  zstdVersion: process.versions.zstd ?? '0',
  pid: process.pid,
  userId: process.geteuid?.(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: Object.assign(process.stderr, { isJournal: isJournal(2) }),
  onSignal(signal, listener) {
    process.on(signal, listener)
    return () => process.off(signal, listener)
  },
  endProcess(pid, signal) {
    try {
      return process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
      throw error
    }
  },
  exit: (code) => process.exit(code),
}

// A reader that went away (`burrow … | head`, a journal that restarts) is no reason to stop serving.
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

nameOwnCommandIn([process.stdout, process.stderr], findOwnCommand({ env: process.env, workingDir: process.cwd(), mainDir: import.meta.dirname }))

const [major = 0] = process.versions.node.split('.').map(Number)
if (major < 24) {
  process.stderr.write(`Cannot run on Node ${process.versions.node}: Burrow needs Node 24 or newer\n`)
  process.exitCode = 1
} else {
  // Not before: older Nodes lack modules that are imported there.
  const { runCommandLine } = await import('./cli.ts')
  process.exitCode = await runCommandLine(machine)
}
