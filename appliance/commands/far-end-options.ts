/** The options of commands that send requests to a remote cache. */
import { type Command, Option } from 'commander'

export interface FarEndFlags {
  readonly config?: string
  readonly to?: string
  readonly netrcFile?: string
}

export function farEndOptions(command: Command): Command {
  return command
    .addOption(new Option('--to <url>', 'URL of the cache (default: $BURROW_URL, or the one set by "burrow use")'))
    .option('--netrc-file <file>', 'netrc file with the login (default: the one that Nix uses)')
}

export const farEndHelp = `The login comes from the netrc file that Nix uses, or from $BURROW_USER and $BURROW_PASSWORD_FILE.

Exit codes: 0 done · 2 usage · 4 refused · 75 the cache cannot be reached, try again · 77 wrong login, or no permission ·
78 a file given on the command line cannot be read`
