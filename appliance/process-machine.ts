/** The process as the rest of the appliance sees it: what the programs (program.ts, client-main.ts) hand on. */
import { fstatSync } from 'node:fs'
import { homedir, hostname } from 'node:os'
import process from 'node:process'

import type { Machine } from './machine.ts'

/**
 * systemd.exec(5), $JOURNAL_STREAM: device and inode of the stream; a child may inherit the variable and write
 * elsewhere.
 */
function isJournal(descriptor: number): boolean {
  try {
    const { dev, ino } = fstatSync(descriptor, { bigint: true })
    return process.env.JOURNAL_STREAM === `${dev}:${ino}`
  } catch {
    return false
  }
}

/** This process. */
export function createMachine(): Machine {
  return {
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
}

/** A reader that went away (`burrow … | head`, a journal that restarts) is no reason to stop serving. */
export function ignoreBrokenPipes(): void {
  for (const output of [process.stdout, process.stderr]) {
    output.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
}
