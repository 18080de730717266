/** What the page of a store path says: what is known at once, and what the depot and the usage figures have to tell. */
import { ignoreLate } from '../../ignore-late.ts'
import { hashPartOf } from '../../nix/store-path.ts'
import { shownOriginOf } from '../auth/client-address.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import type { Html } from '../pages/html.ts'
import { renderKeeping } from '../pages/path/keeping.ts'
import type { PathEvent, PathFacts } from '../pages/path/path-page.ts'
import type { Site } from '../pages/site.ts'
import type { Reply } from '../reply.ts'

const maxReferrers = 100
const maxEvents = 8
/** Downloads are counted over this time, or as long as they are kept. */
const usageDays = 90

/** Everything that is known at once. */
export function gatherFacts(site: Site, reply: Reply, { object, narInfo }: CatalogueEntry): PathFacts {
  const { storePath } = object.info
  const { publicKeys, isPublic } = site.particulars()
  const referrers = findReferrers(site, storePath)
  return {
    info: { ...narInfo, registrationTime: object.info.registrationTime },
    history: findHistory(site, storePath, isPublic),
    referrers: referrers.slice(0, maxReferrers),
    hasMoreReferrers: referrers.length > maxReferrers,
    ownKeys: new Set(publicKeys.map((key) => key.slice(0, key.indexOf(':')))),
    cacheUrl: shownOriginOf(reply.request).url,
    isPublic,
    now: new Date(),
  }
}

/** One more than are shown. Those that a store withholds are left out. */
function findReferrers({ stores, here }: Site, storePath: string): string[] {
  const found = stores.flatMap((store) => store.referrersOf?.(storePath, maxReferrers + 1) ?? [])
  return [...new Set(found)].filter((referrer) => ignoreLate(here.find(hashPartOf(referrer))) !== undefined)
}

const actions: Readonly<Record<string, string>> = {
  push: 'pushed',
  adopt: 'taken over from the Nix store',
  conflict: 'refused: other contents under this name',
  refuse: 'refused',
}

function findHistory({ depot }: Site, storePath: string, isPublic: boolean): PathEvent[] {
  if (depot === undefined) return []
  return depot.who(storePath, maxEvents).flatMap(({ at, user, action }) => {
    const what = actions[action]
    return what === undefined ? [] : [{ what, user: isPublic ? undefined : user, at: new Date(at) }]
  })
}

/** Names of users and pins are not for a public cache. */
export async function findKeeping({ depot, usage, particulars }: Site, storePath: string): Promise<Html | undefined> {
  const isOurs = !particulars().isPublic
  const isKept = isOurs && depot?.find(hashPartOf(storePath))?.info.storePath === storePath
  const days = Math.min(usageDays, usage?.keepDays ?? usageDays)
  const [chain, used] = await Promise.all([
    isKept ? depot.explain(storePath) : undefined,
    isOurs ? usage?.ofPath(storePath, days) : undefined,
  ])
  return renderKeeping({
    storePath,
    chain: isKept ? (chain ?? []) : undefined,
    downloads: used && {
      count: used.downloads,
      last: used.lastAt === undefined ? undefined : new Date(used.lastAt),
      days,
    },
    now: new Date(),
  })
}
