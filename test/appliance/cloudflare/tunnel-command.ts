/** `burrow tunnel` with the subcommands that speak to a Cloudflare account. */
import { Command } from 'commander'

import { tunnelSetupCommand } from '../../../appliance/commands/tunnel/setup.ts'
import { tunnelStatusCommand } from '../../../appliance/commands/tunnel/status.ts'
import { tunnelTeardownCommand } from '../../../appliance/commands/tunnel/teardown.ts'
import type { Machine } from '../../../appliance/machine.ts'

export function createTunnelCommand(machine: Machine): Command {
  const tunnel = new Command('tunnel')
  for (const createCommand of [tunnelSetupCommand, tunnelTeardownCommand, tunnelStatusCommand])
    tunnel.addCommand(createCommand(machine))
  return tunnel
}
