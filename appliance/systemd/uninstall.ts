/**
 * The plan of `burrow uninstall-service`: removes installed files, and keeps data (keys, passwords, config, state)
 * except with --purge.
 */
import type { Environment } from '../machine.ts'
import { exists, planCommand, planEmptyDirRemoval, planLinkRemoval, planRemoval } from '../plan/file-steps.ts'
import type { Step } from '../plan/plan.ts'
import { placesBelow } from './places.ts'

export interface UninstallWish {
  readonly root: string
  readonly wantsPurge: boolean
  readonly isBooted: boolean
  readonly env: Environment
}

/** Changes nothing. */
export async function planUninstall({ root, wantsPurge, isBooted, env }: UninstallWish): Promise<readonly Step[]> {
  const places = placesBelow(root)
  const units = (
    await Promise.all([places.socket, places.unit].map(async (file) => ((await exists(file)) ? [file] : [])))
  ).flat()
  const names = units.map((file) => file.slice(file.lastIndexOf('/') + 1))
  const stops = isBooted
    ? names.map((name) => planCommand('systemctl', ['disable', '--now', name], env))
    : (await Promise.all(places.links.map(planLinkRemoval))).flat()
  const files = await Promise.all([...units, places.credentialsDropIn].map(planRemoval))
  const dropInDir = await planEmptyDirRemoval(places.dropInDir)
  const reload = isBooted && units.length > 0 ? [planCommand('systemctl', ['daemon-reload'], env)] : []
  return [
    ...stops,
    ...files.flat(),
    ...dropInDir,
    ...reload,
    ...(await planData([places.configDir, ...places.data], wantsPurge)),
  ]
}

async function planData(paths: readonly string[], wantsPurge: boolean): Promise<Step[]> {
  if (wantsPurge) return (await Promise.all(paths.map(planRemoval))).flat()
  const present = await Promise.all(paths.map(async (path) => ((await exists(path)) ? [path] : [])))
  return present.flat().map((path) => ({ verb: 'keep', what: `${path}; --purge removes it` }))
}
