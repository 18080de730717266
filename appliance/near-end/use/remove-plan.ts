/** `burrow use URL --remove`: what `burrow use` has written for this cache is taken away again, and nothing else. */
import { join } from 'node:path'
import { hostOf } from '../../../src/index.ts'
import type { Machine } from '../../machine.ts'
import { planCommand, planEmptyDirRemoval, planFile, planLinkRemoval, readText } from '../../plan/file-steps.ts'
import type { Step } from '../../plan/plan.ts'
import { clientFileOf } from '../credentials.ts'
import { defaultSpool } from '../post-build-hook.ts'
import { removeEntry } from './netrc-entry.ts'
import { removeBlock } from './nix-conf-block.ts'
import { pushUnitName } from './push-unit.ts'
import { unitDirOf } from './relay-plan.ts'
import { relayServiceName, relaySocketName } from './relay-units.ts'
import { findUrlOf } from './unit-steps.ts'
import { below, hookFileOf, netrcFileOf, nixDirOf, readConf, realpathOf } from './use-plan.ts'

export interface RemoveWish {
  readonly url: string
  readonly root: string
  readonly isRunning: boolean
}

/** Rejects with a Complaint. Nix forgets the cache first, before what it asks goes. */
export async function planRemove(machine: Machine, { url, root, isRunning }: RemoveWish): Promise<Step[]> {
  const named = (path: string) => below(root, path)
  const conf = await readConf(named(join(nixDirOf(machine), 'nix.conf')))
  const netrcFile = await realpathOf(named(await netrcFileOf(machine, root)))
  const netrc = await readText(netrcFile)
  const clientFile = named(clientFileOf(machine))
  const client = await readText(clientFile)
  const dir = unitDirOf(machine)
  const isFor = async (name: string) => findUrlOf((await readText(named(join(dir, name)))) ?? '') === url
  const hasRelay = await isFor(relayServiceName)
  const hasPush = await isFor(pushUnitName)
  const units = [...(hasRelay ? [relayServiceName, relaySocketName] : []), ...(hasPush ? [pushUnitName] : [])]
  const systemctl = (...args: string[]) =>
    isRunning && units.length > 0
      ? [planCommand('systemctl', [...(machine.userId === 0 ? [] : ['--user']), ...args], machine.env)]
      : []
  return [
    ...(conf.text === '' ? [] : [await planFile(conf.file, removeBlock(conf.text, url), conf.mode)]),
    ...systemctl('disable', '--now', ...units),
    ...(await Promise.all(units.map((name) => planLinkRemoval(named(join(dir, name)))))).flat(),
    ...systemctl('daemon-reload'),
    ...(hasPush
      ? [
          ...(await planLinkRemoval(named(hookFileOf(machine)))),
          ...(await planEmptyDirRemoval(named(defaultSpool(machine)))),
        ]
      : []),
    ...(netrc === undefined ? [] : [await planFile(netrcFile, removeEntry(netrc, hostOf(url)), 0o600)]),
    ...(client === `${JSON.stringify({ url })}\n` ? await planLinkRemoval(clientFile) : []),
  ]
}
