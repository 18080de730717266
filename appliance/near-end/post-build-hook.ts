/**
 * The script that Nix runs after each build (`post-build-hook`): it notes what was built in a spool folder, and is
 * done. Nix waits for it, and fails the build when it fails: so it needs neither Node nor a network, takes
 * milliseconds, and always succeeds. `burrow watch-store --spool` empties the folder. Source: Nix manual, "Using the
 * post-build-hook".
 */
import { join } from 'node:path'

import { Complaint } from '../complaint.ts'
import type { Machine } from '../machine.ts'
import { planDir, planFile, readText } from '../plan/file-steps.ts'
import type { Step } from '../plan/plan.ts'
import { quoteForShell } from '../terminal/shell-quote.ts'

const mark = '# Written by "burrow post-build-hook"'

/** Where root's Nix, or this user's, leaves what was built. */
export function defaultSpool({ env, homeDir, userId }: Machine): string {
  if (userId === 0) return '/var/spool/burrow'
  return join(
    env.XDG_STATE_HOME?.startsWith('/') === true ? env.XDG_STATE_HOME : join(homeDir, '.local/state'),
    'burrow',
    'spool',
  )
}

/** @throws {Complaint} usage */
export function formatHook(spool: string): string {
  if (/\p{Cc}/u.test(spool))
    throw new Complaint('usage', 'Cannot use a spool folder with control characters in its name')
  return `#!/bin/sh
${mark}: it overwrites this file. Notes what was built for "burrow watch-store --spool".
# Nix waits for it, and a failure of it would be one of the build: it always succeeds.
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
# What begins with a dot is not finished: it gets its name when it is whole.
if { printf '%s\\n' "$paths" >"$spool/.$name"; } 2>/dev/null && mv -f "$spool/.$name" "$spool/$name" 2>/dev/null; then
  exit 0
fi
rm -f "$spool/.$name" 2>/dev/null
echo "burrow: cannot write to $spool: not pushed: $paths" >&2
exit 0
`
}

/** `namedSpool`: as the script is to say it. Rejects with a Complaint when something else lies there. */
export async function planHook(file: string, spool: string, namedSpool = spool): Promise<Step[]> {
  const text = formatHook(namedSpool)
  const present = await readText(file)
  if (present !== undefined && !present.includes(mark))
    throw new Complaint(
      'refused',
      `Cannot write "${file}": it is there already, and is not Burrow's. Remove it, or name another file`,
    )
  return [await planDir(spool, 0o700), await planFile(file, text, 0o755)]
}
