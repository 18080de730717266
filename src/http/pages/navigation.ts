/** The pages that the navigation links to, and who sees which link. */
import { type Access, type Identity, mayDo } from '../auth/user.ts'

export type PageName = 'overview' | 'search' | 'usage' | 'users' | 'status'

export interface NavigationLink {
  readonly name: PageName
  readonly label: string
  readonly path: string
}

/** In their order. `access`: as in a rule of access-rules.ts. */
const links: readonly (NavigationLink & { readonly access: readonly Access[] })[] = [
  { name: 'overview', label: 'Overview', path: '/', access: ['pull'] },
  { name: 'search', label: 'Search', path: '/search', access: ['pull'] },
  { name: 'usage', label: 'Usage', path: '/usage', access: ['pull'] },
  { name: 'users', label: 'Users', path: '/users', access: [] },
  { name: 'status', label: 'Status', path: '/status', access: ['pull'] },
]

/** Nothing for people who are not logged in. `pages`: what this cache has. */
export function linksFor(reader: Identity | undefined, pages: ReadonlySet<PageName>): readonly NavigationLink[] {
  return reader === undefined ? [] : links.filter(({ name, access }) => pages.has(name) && mayDo(reader, access))
}
