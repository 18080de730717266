/** Where the service lies on a machine. The unit knows the same paths. */
import { join } from 'node:path'

export const configDir = '/etc/burrow'
export const credentialsDir = `${configDir}/credentials`
export const configFile = `${configDir}/burrow.json`
export const cacheDir = '/var/cache/burrow'
export const stateDir = '/var/lib/burrow'
const unitDir = '/etc/systemd/system'

/** Each below `root`: "/" or a staging directory. */
export function placesBelow(root: string) {
  const at = (path: string) => join(root, path)
  return {
    configDir: at(configDir),
    configFile: at(configFile),
    credentialsDir: at(credentialsDir),
    /** Variables for the config, which systemd reads. */
    environment: at(`${configDir}/environment`),
    /** The copies that systemd made for the service that runs. */
    serviceCredentials: at('/run/credentials/burrow.service'),
    unit: at(`${unitDir}/burrow.service`),
    socket: at(`${unitDir}/burrow.socket`),
    dropInDir: at(`${unitDir}/burrow.service.d`),
    credentialsDropIn: at(`${unitDir}/burrow.service.d/credentials.conf`),
    /** What "systemctl enable" makes. */
    links: [
      at(`${unitDir}/multi-user.target.wants/burrow.service`),
      at(`${unitDir}/sockets.target.wants/burrow.socket`),
    ],
    /** With DynamicUser the directories lie in "private", and links lead there. */
    data: ['/var/lib/private/burrow', stateDir, '/var/cache/private/burrow', cacheDir].map(at),
  } as const
}

export type ConfigLocations = ReturnType<typeof placesBelow>
