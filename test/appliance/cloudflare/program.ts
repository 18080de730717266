/**
 * `burrow tunnel setup`, `teardown` and `status` as a child process with nothing else beside them, on the real machine
 * of `appliance/program.ts`.
 */
import { Command } from 'commander'

import { Complaint, exitCodeOf } from '../../../appliance/complaint.ts'
import type { Machine } from '../../../appliance/machine.ts'
import { createMachine } from '../../../appliance/process-machine.ts'
import { createTunnelCommand } from './tunnel-command.ts'

const machine: Machine = {
  ...createMachine(),
  stderr: process.stderr,
  onSignal: () => () => {},
  endProcess: () => false,
}

const program = new Command('burrow').option('-c, --config <file>')
try {
  await program.addCommand(createTunnelCommand(machine)).parseAsync()
} catch (error) {
  if (!(error instanceof Complaint)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = exitCodeOf(error)
}
