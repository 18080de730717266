/** The paths of the service on a machine. The unit contains the same paths. */
import { join } from 'node:path'

export const configDir = '/etc/burrow'
export const credentialsDir = `${configDir}/credentials`
export const configFile = `${configDir}/burrow.json`
export const cacheDir = '/var/cache/burrow'
export const stateDir = '/var/lib/burrow'
const unitDir = '/etc/systemd/system'

/** All paths under `root`: "/" or a staging directory. */
export function placesBelow(root: string) {
  const at = (path: string) => join(root, path)
  return {
    configDir: at(configDir),
    configFile: at(configFile),
    credentialsDir: at(credentialsDir),
    /** Variables for the config, which systemd reads. */
    environment: at(`${configDir}/environment`),
    /** The copies that systemd made for the running service. */
    serviceCredentials: at('/run/credentials/burrow.service'),
    unit: at(`${unitDir}/burrow.service`),
    socket: at(`${unitDir}/burrow.socket`),
    dropInDir: at(`${unitDir}/burrow.service.d`),
    credentialsDropIn: at(`${unitDir}/burrow.service.d/credentials.conf`),
    /** Links created by "systemctl enable". */
    links: [
      at(`${unitDir}/multi-user.target.wants/burrow.service`),
      at(`${unitDir}/sockets.target.wants/burrow.socket`),
    ],
    /** With DynamicUser, the directories are in "private", and the usual paths are links to them. */
    data: ['/var/lib/private/burrow', stateDir, '/var/cache/private/burrow', cacheDir].map(at),
  } as const
}

export type ConfigLocations = ReturnType<typeof placesBelow>
