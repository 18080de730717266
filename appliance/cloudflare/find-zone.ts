/**
 * Finds the zone of the host name: the one with the longest matching name, in all accounts that the token can access.
 * Also verifies the token.
 */
import { Complaint } from '../complaint.ts'
import { printable } from '../terminal/format.ts'
import type { CloudflareApi } from './api.ts'
import { isUnauthorized } from './api-faults.ts'
import type { Zone } from './api-types.ts'
import { permissions } from './marks.ts'
import { pageOf } from './token-kind.ts'

export interface ZoneWish {
  readonly hostname: string
  /** Name or id. */
  readonly zone?: string | undefined
  readonly account?: string | undefined
}

/** @throws {Complaint} refused */
export async function findZone(api: CloudflareApi, wish: ZoneWish): Promise<Zone> {
  const isUserToken = await verifyUserToken(api)
  const zone = await search(api, wish)
  // An account token can only be verified when the account is known.
  if (!isUserToken) requireActive(await api.verifyToken(zone.account.id), api)
  return zone
}

/** `false` if it is not a user token; it may be an account token. */
async function verifyUserToken(api: CloudflareApi): Promise<boolean> {
  if (api.tokenKind === 'account') return false
  try {
    requireActive(await api.verifyToken(), api)
    return true
  } catch (error) {
    if (api.tokenKind === 'unknown' && error instanceof Complaint && isUnauthorized(error.cause)) return false
    throw error
  }
}

function requireActive(
  { status, expires }: { status: string; expires: string | undefined },
  { tokenKind }: CloudflareApi,
): void {
  if (status === 'active') return
  const since = expires === undefined ? '' : ` (${printable(expires, 40)})`
  throw new Complaint(
    'refused',
    `Cannot use this API token: it is ${printable(status, 40)}${since}; create a new one at ${pageOf(tokenKind)}`,
  )
}

async function search(api: CloudflareApi, { hostname, zone: wanted, account }: ZoneWish): Promise<Zone> {
  const names = listZoneNames(hostname)
  if (wanted !== undefined && !names.includes(wanted.toLowerCase()))
    throw new Complaint(
      'usage',
      `Cannot use --zone "${wanted}": "${hostname}" is not in this zone; give the name of its domain, such as "${names.at(-1)}"`,
    )
  for (const name of wanted === undefined ? names : [wanted.toLowerCase()]) {
    const found = (await api.listZones(name)).filter((zone) => zone.name === name)
    const [zone, ...others] = choose(found, account)
    if (zone !== undefined && others.length === 0) return zone
    if (zone !== undefined) {
      const owners = [zone, ...others].map(
        (each) => `${printable(each.account.name, 60)} (${each.account.id}, ${printable(each.status, 20)})`,
      )
      throw new Complaint(
        'refused',
        `Cannot choose between the accounts that have the zone "${name}": ${owners.join(', ')}; give one of their ids with --account`,
      )
    }
  }
  const where = account === undefined ? '' : ` in the account "${account}"`
  throw new Complaint(
    'refused',
    `Cannot find a zone for "${hostname}"${where} (tried ${names.join(', ')}); add the domain to Cloudflare, or give the API token access to it: "${permissions.zone}", at ${pageOf(api.tokenKind)}`,
  )
}

/** `cache.lab.example.org`, `lab.example.org`, `example.org`; without the top-level domain. */
function listZoneNames(hostname: string): string[] {
  const labels = hostname.split('.')
  return labels.slice(0, -1).map((_, index) => labels.slice(index).join('.'))
}

/** A domain may be pending in one account and active in another. */
function choose(zones: readonly Zone[], account: string | undefined): Zone[] {
  const fitting =
    account === undefined
      ? zones
      : zones.filter((zone) => zone.account.id === account || zone.account.name.toLowerCase() === account.toLowerCase())
  const active = fitting.filter(({ status }) => status === 'active')
  return active.length > 0 ? active : [...fitting]
}

/** Problems that do not prevent the setup, but that will affect clients. */
export function listZoneNotes({ name, status, isPaused }: Zone, hostname: string): string[] {
  const notes: string[] = []
  if (status !== 'active')
    notes.push(
      `The zone "${name}" is ${printable(status, 40)}: nothing is served for it until its registrar uses Cloudflare's name servers`,
    )
  if (isPaused) notes.push(`The zone "${name}" is paused: Cloudflare does not serve its host names until it is resumed`)
  const extra = hostname.slice(0, -name.length).split('.').filter(Boolean)
  if (extra.length > 1)
    notes.push(
      `Universal SSL covers only *.${name}: without a certificate for "${hostname}" (Advanced Certificate Manager, Total TLS), clients get a TLS error`,
    )
  return notes
}
