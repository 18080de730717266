/** A NixOS module for clients, which needs nothing but NixOS itself. */
import { formatNixValue, memoryValues, type NixValue, outageValues } from '../../../src/index.ts'
import { listNotes, netrcExample, type SharedSetup, toComment } from './shared-setup.ts'

export function formatNixosForm(setup: SharedSetup): string {
  const { url, publicKeys } = setup
  const netrc = netrcExample(setup)
  const login =
    netrc === undefined
      ? []
      : [
          'The login belongs into /etc/nix/netrc, owned by root, mode 0600. Write this file by hand or with a secrets tool: what Nix writes can be read by all users.',
          `  ${netrc}`,
        ]
  const push = [
    'To push what this machine builds, and for a relay beside Nix, use the module services.burrow-client of Burrow (nixos/client.nix) in place of this one.',
  ]
  return `${toComment(['A NixOS module: save it as burrow-cache.nix, and add ./burrow-cache.nix to "imports".', ...listNotes(setup), ...login, ...(setup.withPush ? push : [])])}{ lib, ... }:
{
  nix.settings = {
    extra-substituters = ${formatNixValue([url])};
${publicKeys.length === 0 ? '' : `    extra-trusted-public-keys = ${formatNixValue(publicKeys)};\n`}${netrc === undefined ? '' : defaults({ 'netrc-file': '/etc/nix/netrc' })}${toComment(['While the cache cannot be reached, Nix builds without it.'], '    ')}${defaults(outageValues)}${toComment(['After a push, Nix asks again sooner for a path that was absent.'], '    ')}${defaults(memoryValues)}  };
}
`
}

/** What the machine's own configuration says wins. */
function defaults(values: Readonly<Record<string, NixValue>>): string {
  return Object.entries(values)
    .map(([name, value]) => `    ${name} = lib.mkDefault ${formatNixValue(value)};\n`)
    .join('')
}
