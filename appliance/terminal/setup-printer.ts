/**
 * Prints what clients need, ready to paste, on standard output: as soon as Burrow serves, with what is known then, and
 * again when the tunnel is connected under an address that was not printed yet.
 */
import type { Appliance } from '../appliance.ts'
import type { Config } from '../config/config.ts'
import type { Machine } from '../machine.ts'
import { urlOf } from '../server/listener.ts'
import { publicUrlOf, type TunnelStatus } from '../tunnel/tunnel.ts'
import { formatClientSetup, formatPushSetup, type Login } from './client-setup.ts'

export interface SetupPrinter {
  /** The listener answers. */
  begin(appliance: Appliance): void
  /** Prints the public URL when it is first usable. */
  update(status: TunnelStatus): void
}

const quickHint = `# A quick tunnel is for testing: its name changes at every start, it has no uptime guarantee, and it is limited to 200 concurrent requests.
# For a permanent name: burrow tunnel setup --hostname cache.example.org
`

const waitingHint =
  '# This address works only on this machine. The public address is printed when the tunnel is connected.\n'

export function createSetupPrinter(machine: Machine, config: Config): SetupPrinter {
  let appliance: Appliance | undefined
  let printedUrl: string | undefined

  function print(url: string | undefined, note: string): void {
    if (appliance === undefined) return
    const { login, hint } = toLogin(
      machine,
      config.access.kind,
      appliance.inForce.users,
      url,
      config.depot !== undefined,
    )
    const publicKeys = appliance.inForce.signing.map((key) => key.publicKey)
    const push = config.depot === undefined || login === undefined ? '' : `\n${formatPushSetup({ url })}`
    machine.stdout.write(
      `${formatClientSetup({ url, storeDir: config.store.dir, publicKeys, login })}${push}${hint}${note}\n`,
    )
  }

  function update(status: TunnelStatus): void {
    const url = publicUrlOf(status)
    // In other states the address may be known, but does not work yet.
    if (appliance === undefined || url === undefined || !isThrough(status) || url === printedUrl) return
    printedUrl = url
    print(url, status.mode === 'quick' ? quickHint : '')
  }

  return {
    begin(started) {
      appliance = started
      const { status } = started.tunnel
      if (isThrough(status) && publicUrlOf(status) !== undefined) return update(status)
      const name = publicUrlOf(status)
      if (status.mode === 'quick' || name === undefined)
        return print(urlOf(started.listener.address), isOnTheWay(status) ? waitingHint : '')
      // A configured hostname does not change, so this is valid once the tunnel is connected.
      printedUrl = name
      print(name, '# The tunnel is not connected yet: see "burrow status".\n')
    },
    update,
  }
}

const isThrough = ({ state }: TunnelStatus) => state === 'connected' || state === 'degraded'
const isOnTheWay = ({ state }: TunnelStatus) => state !== 'off' && state !== 'missing-binary' && state !== 'failed'

/**
 * Shows the password of the generated user, since it is known nowhere else; but not in a journal, which stores it and
 * which other users can read.
 */
function toLogin(
  machine: Machine,
  kind: Config['access']['kind'],
  users: Appliance['inForce']['users'],
  url: string | undefined,
  hasDepot: boolean,
): { login: Login | undefined; hint: string } {
  if (users === undefined) return { login: undefined, hint: '' }
  const [user, ...others] = users
  if (kind === 'generated' && user !== undefined && machine.env.JOURNAL_STREAM === undefined) {
    return {
      login: { name: user.name, password: user.secret.kind === 'plain' ? user.secret.password : undefined },
      hint: '',
    }
  }
  const name = others.length === 0 && user !== undefined ? user.name : 'NAME'
  const command = `burrow client-config --user ${name}${url?.startsWith('https:') === true ? ` --url ${url}` : ''}`
  return {
    login: undefined,
    hint: `# For the netrc entry: ${command}\n${hasDepot ? `# To push: ${command} --push\n` : ''}`,
  }
}
