/** `burrow check-config`: everything that can be wrong with a config, before it is used. */
import { Command } from 'commander'

import { checkConfigWithoutEnv, type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { LaunchFault } from '../tunnel/launch/launch.ts'
import { isExposed, loadTunnelSecret } from '../tunnel/launch/secret.ts'
import type { TunnelSecret } from '../tunnel/settings.ts'
import { readNamedFiles } from '../users/load-reloadable.ts'

export function checkConfigCommand(machine: Machine): Command {
  return new Command('check-config')
    .description('check the config and the files it names; changes nothing')
    .option('--no-env', 'check the file alone: variables need not be set, and files it names need not exist')
    .addHelpText(
      'after',
      '\nExit code 78 when something is wrong; all problems are reported at once.\n\n  burrow check-config\n  burrow --config burrow.json check-config --no-env      in a CI that has no secrets',
    )
    .action(async (_options, command: Command) => {
      const { config: file, env } = command.optsWithGlobals<{ config?: string; env: boolean }>()
      if (!env) {
        checkConfigWithoutEnv({ machine, file })
        machine.stdout.write('The config is valid, as far as can be checked without its environment.\n')
        return
      }
      const loaded = loadConfig({ machine, file })
      const warn = (fields: object, message: string) =>
        void machine.stderr.write(`warning: ${message} ${JSON.stringify(fields)}\n`)
      await readNamedFiles(loaded, { debug() {}, info() {}, warn, error: warn })
      await checkTunnelSecret(loaded, warn)
      for (const warning of [...loaded.warnings, ...findExpired(loaded)]) machine.stderr.write(`warning: ${warning}\n`)
      machine.stdout.write(
        loaded.config.file === undefined ? 'There is no config: the defaults are used.\n' : 'The config is valid.\n',
      )
    })
}

const pointers: Readonly<Record<TunnelSecret['kind'], string>> = {
  none: '/tunnel',
  token: '/tunnel/token',
  'token-file': '/tunnel/tokenFile',
  'credentials-file': '/tunnel/credentialsFile',
}

/** `serve` does not end for it: it serves on loopback, says what is wrong, and tries again. */
async function checkTunnelSecret(
  { config, complain }: LoadedConfig,
  warn: (fields: object, message: string) => void,
): Promise<void> {
  if (config.tunnel === undefined) return
  const { secret } = config.tunnel
  try {
    await loadTunnelSecret(secret)
    if (await isExposed(secret))
      warn(secret, "Everybody on this machine can read the tunnel's secret; give the file mode 0600")
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    throw complain([
      { pointer: pointers[secret.kind], message: `is not right: ${error.message}`, remedy: error.remedy },
    ])
  }
}

function findExpired({ config: { access } }: LoadedConfig): string[] {
  const users = access.kind === 'users' ? access.users : []
  return users
    .filter(({ expires }) => expires !== undefined && expires.getTime() <= Date.now())
    .map(
      ({ pointer, name, expires }) =>
        `${pointer}/expires: user "${name}" has expired on ${expires!.toISOString()} and is refused; remove it, or change the date`,
    )
}
