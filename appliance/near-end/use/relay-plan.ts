/** `burrow use --relay`: the units of the relay, and the settings of Nix for it. */
import { join } from 'node:path'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { readText } from '../../plan/file-steps.ts'
import type { Step } from '../../plan/plan.ts'
import { findNearEndProgram, findServiceObstacle } from './near-end-program.ts'
import {
  formatRelayService,
  formatRelaySocket,
  relayAddress,
  relayServiceName,
  relaySocketName,
} from './relay-units.ts'
import { findUrlOf, planSystemctl, planUnit } from './unit-steps.ts'
import type { UsePlan, UseWish } from './use-wish.ts'

/** For nix.conf: the relay in the place of the cache, without a login. */
export const relaySubstituter = `http://${relayAddress}`

export const relaySettings: readonly string[] = [
  '# Should the relay itself not run, Nix builds without it. (Nix 2.8 has a bug: it aborts instead, "SubstituterDisabled".)',
  'fallback = true',
  '# While the cache cannot be reached, the relay says that its paths are absent, so that builds go on. Nix would believe it for an hour.',
  'narinfo-cache-negative-ttl = 60',
]

/** Rejects with a Complaint. `below`: a path as it is now, under --root. */
export async function planRelay(
  machine: Machine,
  { url, login, withPush, root, isRunning }: UseWish,
  netrcFile: string,
  below: (path: string) => string,
): Promise<UsePlan> {
  const isSystem = machine.userId === 0
  const command = await findNearEndProgram()
  const dir = unitDirOf(machine)
  const [socketFile, serviceFile] = [join(dir, relaySocketName), join(dir, relayServiceName)]
  await refuseOther(below(serviceFile), url)
  const socket = formatRelaySocket(isSystem)
  const service = formatRelayService({
    url,
    netrcFile: login && netrcFile,
    isWatching: withPush,
    command,
    isSystem,
  })
  return {
    steps: [
      ...(await planCheck(command, isSystem, root)),
      await planUnit(below(socketFile), socket),
      await planUnit(below(serviceFile), service),
      ...planSystemctl(machine, [relaySocketName, relayServiceName], isRunning),
      ...(isSystem
        ? []
        : [
            {
              verb: 'note',
              what: 'It runs while you are logged in. To keep it running: loginctl enable-linger',
            } as const,
          ]),
    ],
    texts: [
      { file: socketFile, text: socket },
      { file: serviceFile, text: service },
    ],
  }
}

/** Another root is another machine, where the program may have another path. */
async function planCheck(command: readonly string[], isSystem: boolean, root: string): Promise<Step[]> {
  const obstacle = await findServiceObstacle(command, isSystem)
  if (obstacle === undefined) return []
  const what = `a service could not start this program: ${obstacle}; put it elsewhere, such as /opt/burrow, and run it from there`
  return [{ verb: root === '/' ? 'refuse' : 'note', what }]
}

export function unitDirOf({ env, homeDir, userId }: Machine): string {
  if (userId === 0) return '/etc/systemd/system'
  const configHome = env.XDG_CONFIG_HOME?.startsWith('/') === true ? env.XDG_CONFIG_HOME : join(homeDir, '.config')
  return join(configHome, 'systemd/user')
}

/** There is one relay on its address, for one cache: the other's lines in nix.conf would lead to this one. */
async function refuseOther(serviceFile: string, url: string): Promise<void> {
  const present = findUrlOf((await readText(serviceFile)) ?? '')
  if (present !== undefined && present !== url) {
    throw new Complaint(
      'refused',
      `Cannot set up a relay for ${url}: there is one for ${present} already. Remove that first: burrow use ${present} --remove`,
    )
  }
}
