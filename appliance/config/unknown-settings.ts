/** Settings that the schema does not know: a spelling mistake, a setting of Eris, or one of an older Burrow. */
import { findNearest } from './did-you-mean.ts'
import { type Path, type Problem, toPointer } from './problem.ts'
import { toJsonSchema } from './schema.ts'

/** Settings of Eris without a counterpart of the same name. */
const fromEris: Readonly<Record<string, string>> = {
  '/proxy': 'remove it: Burrow trusts the client address from the tunnel if the peer is on this machine',
  '/port': 'use "listen": "127.0.0.1:8080"',
  '/host': 'use "listen": "127.0.0.1:8080"',
  '/status': 'use "operator": a second loopback listener with /metrics, /healthz and /readyz',
  '/workers': 'remove it: one process serves all clients',
  '/clients': 'use "limits": { "connections": … }',
  '/upstream': 'use "upstreams", or add the other cache as a substituter on the clients',
  '/signing/host': 'use "name"',
  '/signing/private': 'use "keyFiles": ["…"]',
}

/** Settings of older versions, and the fixed values that replace them. */
const removed: Readonly<Record<string, string>> = {
  '/push/unfinishedBytesPerUser': '20 GiB',
  '/push/keepUnfinished': '24 hours',
  '/limits/queueSeconds': '20 seconds',
  '/limits/waitingNars': '1024',
  '/limits/headerBytes': '16 KiB',
  '/limits/headersSeconds': '20 seconds',
}

export function toUnknownKey(path: Path, key: string): Problem {
  const pointer = toPointer([...path, key])
  const fixed = removed[pointer]
  if (fixed !== undefined)
    return {
      pointer,
      message: `is no longer a setting; its value is now always ${fixed}`,
      remedy: 'remove it',
      isAboutKey: true,
    }
  const known = settingsAt(path)
  const nearest = findNearest(key, known)
  const remedy =
    fromEris[pointer] ??
    (nearest === undefined ? `remove it; known here: ${known.join(', ')}` : `did you mean "${nearest}"?`)
  return { pointer, message: 'is not a setting', remedy, isAboutKey: true }
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly anyOf?: readonly SchemaNode[]
}

function settingsAt(path: Path): string[] {
  let nodes: readonly SchemaNode[] = formsOf(toJsonSchema() as SchemaNode)
  for (const part of path) {
    nodes = nodes.flatMap((node) => formsOf(typeof part === 'number' ? node.items : node.properties?.[String(part)]))
  }
  return [...new Set(nodes.flatMap((node) => Object.keys(node.properties ?? {})))]
}

function formsOf(node: SchemaNode | undefined): readonly SchemaNode[] {
  return node === undefined ? [] : [node, ...(node.anyOf ?? []).flatMap(formsOf)]
}
