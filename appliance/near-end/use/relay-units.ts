/**
 * The units of `burrow relay`: a socket, so that a restart refuses no connection, and the service. For root units of
 * the machine, with a user that exists only while it runs; for others units of the user's own service manager.
 */
import { quote } from '../../systemd/unit-text.ts'

export const relayAddress = '127.0.0.1:8078'
export const relaySocketName = 'burrow-relay.socket'
export const relayServiceName = 'burrow-relay.service'

/** Small generations of V8: half the memory while NARs pass, as fast. */
export const relayNodeFlags: readonly string[] = ['--max-semi-space-size=2']

/** For glibc: fewer pools of free memory, which only one thread could use. */
export const relayEnvironment: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '2' }

export interface RelayUnit {
  readonly url: string
  /** Undefined for a public cache. */
  readonly netrcFile: string | undefined
  /** It also pushes what becomes valid in the store. */
  readonly isWatching: boolean
  /** Node and first arguments, absolute. */
  readonly command: readonly string[]
  readonly isSystem: boolean
}

export function formatRelaySocket(isSystem: boolean): string {
  return `# ${relaySocketName}: ${mark(relaySocketName)}

[Unit]
Description=Burrow's relay, for Nix on this machine
Documentation=man:burrow(8)

[Socket]
# Loopback: the relay refuses any other.
ListenStream=${relayAddress}

[Install]
WantedBy=${isSystem ? 'sockets.target' : 'sockets.target default.target'}
`
}

export function formatRelayService(unit: RelayUnit): string {
  const { url, netrcFile, isWatching, isSystem } = unit
  // systemd's own copy, which the service's user may read.
  const netrc = isSystem ? '%d/netrc' : netrcFile && quote(netrcFile)
  const [node = '', ...program] = unit.command
  const environment = Object.entries(relayEnvironment).map(([name, value]) => `${name}=${value}`)
  const words = [
    ...[node, ...relayNodeFlags, ...program].map(quote),
    'relay',
    '--to',
    quote(url),
    ...(netrcFile === undefined ? [] : ['--netrc-file', netrc]),
    // The socket starts it again.
    ...(isWatching ? ['--watch'] : ['--exit-idle', '5m']),
  ]
  return `# ${relayServiceName}: ${mark(relayServiceName)}

[Unit]
Description=Burrow, relaying a cache to Nix on this machine
Documentation=man:burrow(8)
Requires=${relaySocketName}
After=${relaySocketName}${isSystem ? ' network.target nix-daemon.socket' : ''}
# It goes on trying, every RestartSec.
StartLimitIntervalSec=0

[Service]
ExecStart=${words.join(' ')}
Environment=${environment.join(' ')}
${isSystem ? systemLines(netrcFile) : ''}# More than the 30 s in which downloads may end and what waits is pushed.
TimeoutStopSec=60
Restart=on-failure
RestartSec=5
# Not for errors that need a change of the setup first.
RestartPreventExitStatus=2 78
UMask=0077
LimitNOFILE=65536
# A core dump would hold the password.
LimitCORE=0
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=${isSystem ? 'multi-user.target' : 'default.target'}
`
}

const mark = (name: string) =>
  `written by "burrow use --relay", which replaces it; change settings with "systemctl edit ${name}".`

function systemLines(netrcFile: string | undefined): string {
  return `${netrcFile === undefined ? '' : `LoadCredential=netrc:${netrcFile.replaceAll('%', '%%')}\n`}DynamicUser=yes
User=burrow-relay
StateDirectory=burrow-relay
StateDirectoryMode=0700
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
DevicePolicy=closed
# Not PrivateUsers: --allow-uid compares the users of connections, who would all look alike.
PrivateMounts=yes
PrivateIPC=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RemoveIPC=yes
KeyringMode=private
`
}
