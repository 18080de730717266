/** The command line of `burrow`, with all commands. */
import type { Command } from 'commander'

import { type CommandLine, createProgramOf, runProgram } from './command-line.ts'
import { checkConfigCommand } from './commands/check-config.ts'
import { clientConfigCommand } from './commands/client-config.ts'
import { completionCommand } from './commands/completion.ts'
import { depotCommand } from './commands/depot/depot.ts'
import { forgetCommand } from './commands/depot/forget.ts'
import { gcCommand } from './commands/depot/gc.ts'
import { whoCommand } from './commands/depot/who.ts'
import { doctorCommand } from './commands/doctor.ts'
import { hashPasswordCommand } from './commands/hash-password.ts'
import { initCommand } from './commands/init.ts'
import { installServiceCommand } from './commands/install-service.ts'
import { keygenCommand } from './commands/keygen.ts'
import { pinsCommand } from './commands/pins.ts'
import { publishCommand } from './commands/publish/publish.ts'
import { serveCommand } from './commands/serve.ts'
import { statusCommand } from './commands/status.ts'
import { tunnelCommand } from './commands/tunnel/tunnel.ts'
import { uninstallServiceCommand } from './commands/uninstall-service.ts'
import { usageCommand } from './commands/usage.ts'
import { invitationsCommand, inviteCommand, uninviteCommand } from './commands/user/invite.ts'
import { userCommand } from './commands/user/user.ts'
import { versionCommand } from './commands/version.ts'
import type { Machine } from './machine.ts'
import { nearEndCommands } from './near-end-commands.ts'

const commands = [
  serveCommand,
  statusCommand,
  usageCommand,
  doctorCommand,
  tunnelCommand,
  initCommand,
  checkConfigCommand,
  userCommand,
  inviteCommand,
  invitationsCommand,
  uninviteCommand,
  clientConfigCommand,
  ...nearEndCommands,
  pinsCommand,
  gcCommand,
  forgetCommand,
  whoCommand,
  publishCommand,
  depotCommand,
  hashPasswordCommand,
  keygenCommand,
  installServiceCommand,
  uninstallServiceCommand,
  completionCommand,
  versionCommand,
]

const notes = `
The config is the file named by --config, else by $BURROW_CONFIG, else ./burrow.json; without one, safe defaults hold.

Exit codes:
  0    success; for "serve": stopped on request
  1    it failed: the message says how (an address in use, a file in the way); for "status": Burrow is not running, or cannot serve;
       for "doctor": something is broken
  2    the command line cannot be understood
  4    the cache refuses what was pushed: room, policy, or a conflict with --strict
  75   the cache cannot be reached, or made no progress for too long: worth running again
  77   the cache does not accept the login, or the user may not push
  78   the config, a file it names or the state directory must be changed first; starting again does not help
  130  interrupted (Ctrl-C at a prompt or during a download, or a second SIGINT)
  143  stopped at once by a second SIGTERM`

const line: CommandLine = {
  description:
    "A private Nix binary cache at the end of a tunnel: serves this machine's Nix store to named users, on loopback only.",
  commands,
  notes,
  hasConfig: true,
}

export function createProgram(machine: Machine): Command {
  return createProgramOf(machine, line)
}

/** Resolves to the exit code. Errors that the user can fix are printed; a bug is thrown. */
export function runCommandLine(machine: Machine): Promise<number> {
  return runProgram(machine, line)
}
