/** `burrow tunnel …`: commands to install cloudflared and to manage the tunnel that `burrow serve` runs. */
import { Command } from 'commander'

import type { Machine } from '../../machine.ts'
import { tunnelInstallCommand } from './install.ts'
import { tunnelSetupCommand } from './setup.ts'
import { tunnelStatusCommand } from './status.ts'
import { tunnelTeardownCommand } from './teardown.ts'

const commands = [tunnelInstallCommand, tunnelSetupCommand, tunnelStatusCommand, tunnelTeardownCommand]

export function tunnelCommand(machine: Machine): Command {
  const tunnel = new Command('tunnel').description(
    'install cloudflared; create, compare and remove a tunnel in a Cloudflare account',
  )
  for (const createCommand of commands) tunnel.addCommand(createCommand(machine))
  return tunnel
}
