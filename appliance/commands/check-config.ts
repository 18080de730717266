/** `burrow check-config`: finds the errors of a config before it is used. */
import { Command } from 'commander'

import { resolveRoots } from '../../src/index.ts'
import { checkConfigWithoutEnv, type LoadedConfig, loadConfig } from '../config/load-config.ts'
import type { Machine } from '../machine.ts'
import { toPlace } from '../server/store-place.ts'
import { LaunchFault } from '../tunnel/launch/launch.ts'
import { isExposed, loadTunnelSecret } from '../tunnel/launch/secret.ts'
import type { TunnelSecret } from '../tunnel/settings.ts'
import { readNamedFiles } from '../users/load-reloadable.ts'

export function checkConfigCommand(machine: Machine): Command {
  return new Command('check-config')
    .description('check the config and the files it names; changes nothing')
    .option('--no-env', 'check only the file itself; variables may be unset, and the files it names may be missing')
    .addHelpText(
      'after',
      '\nExit code 78 if the config has errors. All errors are reported.\n\n  burrow check-config\n  burrow --config burrow.json check-config --no-env      in CI without secrets',
    )
    .action(async (_options, command: Command) => {
      const { config: file, env } = command.optsWithGlobals<{ config?: string; env: boolean }>()
      if (!env) {
        checkConfigWithoutEnv({ machine, file })
        machine.stdout.write('The config is valid; variables and the files it names were not checked.\n')
        return
      }
      const loaded = loadConfig({ machine, file })
      const warn = (fields: object, message: string) =>
        void machine.stderr.write(`warning: ${message} ${JSON.stringify(fields)}\n`)
      await readNamedFiles(loaded, { debug() {}, info() {}, warn, error: warn })
      await checkTunnelSecret(loaded, warn)
      for (const warning of [...loaded.warnings, ...findExpired(loaded), ...findUnusableRoots(loaded)])
        machine.stderr.write(`warning: ${warning}\n`)
      machine.stdout.write(
        loaded.config.file === undefined
          ? 'There is no config file; the defaults are used.\n'
          : 'The config is valid.\n',
      )
    })
}

const pointers: Readonly<Record<TunnelSecret['kind'], string>> = {
  none: '/tunnel',
  token: '/tunnel/token',
  'token-file': '/tunnel/tokenFile',
  'credentials-file': '/tunnel/credentialsFile',
}

/** `serve` does not exit in this case: it serves on loopback, logs the error and retries. */
async function checkTunnelSecret(
  { config, complain }: LoadedConfig,
  warn: (fields: object, message: string) => void,
): Promise<void> {
  if (config.tunnel === undefined) return
  const { secret } = config.tunnel
  try {
    await loadTunnelSecret(secret)
    if (await isExposed(secret))
      warn(secret, "All users of this machine can read the tunnel's secret; set the file's mode to 0600")
  } catch (error) {
    if (!(error instanceof LaunchFault)) throw error
    throw complain([
      { pointer: pointers[secret.kind], message: `cannot be used: ${error.message}`, remedy: error.remedy },
    ])
  }
}

/** A profile may be made later: until then the root publishes nothing. */
function findUnusableRoots({ config: { publish, store } }: LoadedConfig): string[] {
  if (publish?.roots === undefined) return []
  return resolveRoots(publish.roots, toPlace(store)).flatMap(({ root, problem }) =>
    problem === undefined
      ? []
      : [`/publish/roots: "${root}" ${problem}; until it can be used, nothing is published because of it`],
  )
}

function findExpired({ config: { access } }: LoadedConfig): string[] {
  const users = access.kind === 'users' ? access.users : []
  return users
    .filter(({ expires }) => expires !== undefined && expires.getTime() <= Date.now())
    .map(
      ({ pointer, name, expires }) =>
        `${pointer}/expires: user "${name}" expired on ${expires!.toISOString()} and is refused; remove the user or change the date`,
    )
}
