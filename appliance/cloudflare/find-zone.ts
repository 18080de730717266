/**
 * Whose the host name is: the zone with the longest name that ends it, among all accounts that the token reaches, and
 * the token's own state.
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
  // A token of an account can only be asked about once the account is known.
  if (!isUserToken) requireActive(await api.verifyToken(zone.account.id), api)
  return zone
}

/** False for a token that is no user's; it may still be an account's, if it does not say that it is none. */
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
    `Cannot use this API token: it is ${printable(status, 40)}${since}; make a new one at ${pageOf(tokenKind)}`,
  )
}

async function search(api: CloudflareApi, { hostname, zone: wanted, account }: ZoneWish): Promise<Zone> {
  const names = listZoneNames(hostname)
  if (wanted !== undefined && !names.includes(wanted.toLowerCase()))
    throw new Complaint(
      'usage',
      `Cannot use --zone "${wanted}": "${hostname}" does not lie in it; give the name of its domain, such as "${names.at(-1)}"`,
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
    `Cannot find a zone for "${hostname}"${where} (looked for ${names.join(', ')}); add the domain to Cloudflare, or let the API token reach it: "${permissions.zone}", at ${pageOf(api.tokenKind)}`,
  )
}

/** `cache.lab.example.org`, `lab.example.org`, `example.org`; a top-level domain is nobody's zone. */
function listZoneNames(hostname: string): string[] {
  const labels = hostname.split('.')
  return labels.slice(0, -1).map((_, index) => labels.slice(index).join('.'))
}

/** A domain may wait in one account and be active in another. */
function choose(zones: readonly Zone[], account: string | undefined): Zone[] {
  const fitting =
    account === undefined
      ? zones
      : zones.filter((zone) => zone.account.id === account || zone.account.name.toLowerCase() === account.toLowerCase())
  const active = fitting.filter(({ status }) => status === 'active')
  return active.length > 0 ? active : [...fitting]
}

/** What does not stop the set-up, and will be missed afterwards. */
export function listZoneNotes({ name, status, isPaused }: Zone, hostname: string): string[] {
  const notes: string[] = []
  if (status !== 'active')
    notes.push(
      `The zone "${name}" is ${printable(status, 40)}: nothing is served under it until its registrar names Cloudflare's name servers`,
    )
  if (isPaused)
    notes.push(`The zone "${name}" is paused: Cloudflare answers for none of its host names until it is resumed`)
  const extra = hostname.slice(0, -name.length).split('.').filter(Boolean)
  if (extra.length > 1)
    notes.push(
      `Universal SSL covers *.${name} only: "${hostname}" needs a certificate of its own (Advanced Certificate Manager, Total TLS), or clients see a TLS error`,
    )
  return notes
}
