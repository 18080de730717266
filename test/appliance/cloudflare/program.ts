/** `burrow tunnel setup`, `teardown` and `status` as a child process with nothing else beside them, on the real machine of `appliance/program.ts`. */
import { homedir, hostname } from 'node:os'
import { Command } from 'commander'

import { Complaint, exitCodeOf } from '../../../appliance/complaint.ts'
import type { Machine } from '../../../appliance/machine.ts'
import { createTunnelCommand } from './tunnel-command.ts'

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
  stderr: process.stderr,
  onSignal: () => () => {},
  endProcess: () => false,
  exit: (code) => process.exit(code),
}

const program = new Command('burrow').option('-c, --config <file>')
try {
  await program.addCommand(createTunnelCommand(machine)).parseAsync()
} catch (error) {
  if (!(error instanceof Complaint)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = exitCodeOf(error)
}
