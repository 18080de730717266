/** The options of commands that ask a cache at the far end. */
import { type Command, Option } from 'commander'

export interface FarEndFlags {
  readonly config?: string
  readonly to?: string
  readonly netrcFile?: string
}

export function farEndOptions(command: Command): Command {
  return command
    .addOption(new Option('--to <url>', 'the cache (default: $BURROW_URL, or what "burrow use" has set)'))
    .option('--netrc-file <file>', 'where the login is (default: that of Nix)')
}

export const farEndHelp = `The login comes from the netrc file that Nix uses, or from $BURROW_USER and $BURROW_PASSWORD_FILE.

Exit codes: 0 done · 2 usage · 4 refused · 75 the cache cannot be reached, run it again · 77 wrong login, or no right to do this · 78 a file that is named cannot be read`
