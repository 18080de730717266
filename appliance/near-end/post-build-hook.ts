/**
 * The script that Nix runs after each build (`post-build-hook`): it records what was built in a spool directory. Nix
 * waits for it, and fails the build if it fails. It therefore needs neither Node nor a network, takes milliseconds, and
 * always succeeds. `burrow watch-store --spool` empties the directory. Source: Nix manual, "Using the post-build-hook".
 */
import { join } from 'node:path'

import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { planDir, planFile, readText } from '../plan/file-steps.ts'
import type { Step } from '../plan/plan.ts'
import { userStateDir } from '../state/user-state-dir.ts'
import { quoteForShell } from '../terminal/shell-quote.ts'

const mark = '# Written by "burrow post-build-hook"'

/** The spool directory of root or of this user. */
export function defaultSpool(machine: Machine): string {
  return machine.userId === 0 ? '/var/spool/burrow' : join(userStateDir(machine), 'spool')
}

/** @throws {Complaint} usage */
export function formatHook(spool: string): string {
  if (/\p{Cc}/u.test(spool))
    throw new Complaint('usage', 'Cannot use a spool directory with control characters in its name')
  return `#!/bin/sh
${mark}, which overwrites this file. Records what was built for "burrow watch-store --spool".
# Nix waits for this script and fails the build if it fails, so it always succeeds.
spool=${quoteForShell(spool)}
PATH=\${PATH-}:/usr/bin:/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin
paths=\${OUT_PATHS-}
# Nix 2.8 leaves OUT_PATHS empty.
if [ -z "$paths" ] && [ -n "\${DRV_PATH-}" ]; then
  paths=$(nix-store -q --outputs "$DRV_PATH" 2>/dev/null)
fi
[ -n "$paths" ] || exit 0
drv=\${DRV_PATH-}
name=\${drv##*/}.$$
# A name with a leading dot is an incomplete file; it is renamed when it is complete.
if { printf '%s\\n' "$paths" >"$spool/.$name"; } 2>/dev/null && mv -f "$spool/.$name" "$spool/$name" 2>/dev/null; then
  exit 0
fi
rm -f "$spool/.$name" 2>/dev/null
echo "burrow: cannot write to $spool; these paths are not pushed: $paths" >&2
exit 0
`
}

/** `namedSpool`: the path as written in the script. Rejects with a Complaint if there is another file. */
export async function planHook(file: string, spool: string, namedSpool = spool): Promise<Step[]> {
  const text = formatHook(namedSpool)
  const present = await readText(file)
  if (present !== undefined && !present.includes(mark))
    throw new Complaint(
      'refused',
      `Cannot write "${file}": it exists and was not written by Burrow. Remove it, or use another file`,
    )
  return [await planDir(spool, 0o700), await planFile(file, text, 0o755)]
}
