/** `burrow use --push`: the post-build hook, its spool folder, and the unit that empties it. */
import { join } from 'node:path'

import type { Machine } from '../../machine.ts'
import { quote } from '../../systemd/unit-text.ts'
import { defaultSpool, formatHook, planHook } from '../post-build-hook.ts'
import { findNearEndProgram } from './near-end-program.ts'
import { planSystemctl, planUnit } from './unit-steps.ts'
import type { UsePlan, UseWish } from './use-wish.ts'

export const pushUnitName = 'burrow-push.service'

/** Rejects with a Complaint if there is another file. `below`: a path as it is now, under --root. */
export async function planPush(
  machine: Machine,
  { url, isRunning }: UseWish,
  hookFile: string,
  below: (path: string) => string,
): Promise<UsePlan> {
  const spool = defaultSpool(machine)
  const unitFile = join('/etc/systemd/system', pushUnitName)
  const unit = formatUnit(url, spool, await findNearEndProgram())
  return {
    steps: [
      ...(await planHook(below(hookFile), below(spool), spool)),
      await planUnit(below(unitFile), unit),
      ...planSystemctl(machine, [pushUnitName], isRunning),
    ],
    texts: [
      { file: hookFile, text: formatHook(spool) },
      { file: unitFile, text: unit },
    ],
  }
}

/** As root: the spool folder, the netrc file and some of the store's files are for root alone. */
function formatUnit(url: string, spool: string, command: readonly string[]): string {
  const words = [...command, 'watch-store', '--to', url, '--spool', spool].map(quote)
  return `# ${pushUnitName}: pushes what Nix builds here. Written by "burrow use --push", which replaces it.

[Unit]
Description=Burrow, pushing what Nix builds here to a cache
Documentation=man:burrow(8)
After=network.target nix-daemon.socket
StartLimitIntervalSec=0

[Service]
ExecStart=${words.join(' ')}
StateDirectory=burrow-push
StateDirectoryMode=0700
# More than the 30 s in which it pushes what waits.
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=${quote(spool)}
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=multi-user.target
`
}
