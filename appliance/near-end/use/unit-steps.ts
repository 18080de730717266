/** Units that `burrow use` writes, and the systemctl commands for them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { Complaint } from '../../complaint.ts'
import type { Machine } from '../../machine.ts'
import { planCommand, planFile, readText } from '../../plan/file-steps.ts'
import type { Step } from '../../plan/plan.ts'

/** The first line of a unit of ours begins with its name, and no other's does. */
export async function planUnit(file: string, text: string): Promise<Step> {
  const present = await readText(file)
  if (present !== undefined && firstWord(present) !== firstWord(text)) {
    throw new Complaint(
      'refused',
      `Cannot write "${file}": there is a unit of that name that is not Burrow's own; remove it first`,
    )
  }
  return await planFile(file, text, 0o644)
}

/** `# burrow-push.service:` */
const firstWord = (text: string) => /^# \S+/.exec(text)?.[0]

/** The URL of the cache that a unit of ours is for. */
export function findUrlOf(unit: string): string | undefined {
  return /^ExecStart=.* --to "?([^"\s]+)"?(?: |$)/m.exec(unit)?.[1]?.replaceAll('%%', '%').replaceAll('$$', '$')
}

/** Whether a service manager for this user, or as root the one of the machine, can be asked. */
export function isSystemdRunning({ env, userId }: Machine): boolean {
  if (!existsSync('/run/systemd/system')) return false
  return userId === 0 || (env.XDG_RUNTIME_DIR !== undefined && existsSync(join(env.XDG_RUNTIME_DIR, 'systemd/private')))
}

/** Enables the units; the last one is restarted, since the program may be a newer one, after the others are started. */
export function planSystemctl(machine: Machine, names: readonly string[], isRunning: boolean): Step[] {
  const scope = machine.userId === 0 ? [] : ['--user']
  if (!isRunning) {
    const line = ['systemctl', ...scope, 'enable', '--now', ...names].join(' ')
    return [{ verb: 'note', what: `systemd is not running here. Where it runs, enable the service: ${line}` }]
  }
  const systemctl = (...args: string[]) => planCommand('systemctl', [...scope, ...args], machine.env)
  return [
    systemctl('daemon-reload'),
    systemctl('enable', ...names),
    ...names.slice(0, -1).map((name) => systemctl('start', name)),
    systemctl('restart', names.at(-1)!),
  ]
}
