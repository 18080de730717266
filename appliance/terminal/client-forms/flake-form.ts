/** The member `nixConfig` of a flake. It must consist of literals: Nix reads it before it evaluates anything. */
import { formatNixValue } from '../../../src/index.ts'
import { listNotes, netrcExample, type SharedSetup, toComment } from './shared-setup.ts'

export function formatFlakeForm(setup: SharedSetup): string {
  const netrc = netrcExample(setup)
  const notes = [
    'Put this into flake.nix, beside "inputs" and "outputs".',
    ...listNotes(setup),
    'Nix asks each user before it uses these settings; --accept-flake-config accepts them, and everything else that the flake sets.',
    'With a Nix daemon they work only for users in its "trusted-users", which is equivalent to root access. For all others Nix ignores them: put both lines into /etc/nix/nix.conf instead.',
    ...(netrc === undefined
      ? []
      : [
          'A flake is no place for a login. Each user needs this line in the netrc file of nix-daemon (/etc/nix/netrc, owned by root, mode 0600); without it the cache looks empty.',
          `  ${netrc}`,
        ]),
  ]
  return `${toComment(notes)}nixConfig = {
  extra-substituters = ${formatNixValue([setup.url])};
${setup.publicKeys.length === 0 ? '' : `  extra-trusted-public-keys = ${formatNixValue(setup.publicKeys)};\n`}};
`
}
