/**
 * A cache under test as its clients see it: an address, perhaps credentials, and for every store object the NAR its
 * narinfo names. The same for the reference and for Burrow, so that both are asked the same things in the same way.
 */
import { Agent, get, type IncomingMessage } from 'node:http'
import type { StoreObject } from './store.ts'

export interface Endpoint {
  /** How the table's notes call it. */
  readonly label: string
  readonly host: string
  readonly port: number
  /** Put before every path: empty, or `/zst`. */
  readonly prefix: string
  /** Value of the Authorization header. */
  readonly authorization: string | undefined
  /** The process that answers. */
  readonly pid: number
}

export interface NarLink {
  readonly object: StoreObject
  /** Absolute path, as the server named it. */
  readonly path: string
  /** Bytes on the wire; undefined while a compressed NAR has not been made. */
  readonly bytes: number | undefined
  readonly fileHash: string | undefined
  readonly narInfoBytes: number
}

export interface Cache extends Endpoint {
  readonly links: readonly NarLink[]
}

export function urlOf(endpoint: Endpoint): string {
  return `http://${endpoint.host}:${endpoint.port}${endpoint.prefix}`
}

export function narInfoPathOf(endpoint: Endpoint, object: StoreObject): string {
  return `${endpoint.prefix}/${object.hashPart}.narinfo`
}

/** A request on an endpoint; resolves with the response at its headers. */
export function request(endpoint: Endpoint, path: string, agent?: Agent): Promise<IncomingMessage> {
  const headers = endpoint.authorization === undefined ? {} : { Authorization: endpoint.authorization }
  return new Promise((resolve, reject) => {
    get({ host: endpoint.host, port: endpoint.port, path, headers, agent: agent ?? false }, resolve).on('error', reject)
  })
}

/**
 * Reads a whole body.
 * @throws {Error} when the status is not 200 or the body is cut short
 */
export async function readBody(
  endpoint: Endpoint,
  path: string,
  onChunk: (chunk: Buffer) => void,
  agent?: Agent,
): Promise<void> {
  const response = await request(endpoint, path, agent)
  for await (const chunk of response) if (response.statusCode === 200) onChunk(chunk as Buffer)
  if (response.statusCode !== 200)
    throw new Error(`Cannot fetch ${path} from ${endpoint.label}: status ${response.statusCode}`)
}

/** Asks for the narinfos of these objects, and learns from them alone where the NARs are. */
export async function readLinks(endpoint: Endpoint, objects: readonly StoreObject[]): Promise<NarLink[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    const links: NarLink[] = []
    for (const object of objects) {
      let text = ''
      await readBody(endpoint, narInfoPathOf(endpoint, object), (chunk) => (text += chunk.toString()), agent)
      links.push(toLink(endpoint, object, text))
    }
    return links
  } finally {
    agent.destroy()
  }
}

function toLink(endpoint: Endpoint, object: StoreObject, narInfo: string): NarLink {
  const field = (name: string): string | undefined => new RegExp(`^${name}: (.*)$`, 'm').exec(narInfo)?.[1]
  const url = field('URL')
  if (url === undefined || field('NarHash') !== `sha256:${object.narHash}`) {
    throw new Error(
      `Cannot use ${endpoint.label}: its narinfo of ${object.storePath} names no URL or another NAR hash:\n${narInfo}`,
    )
  }
  const size = field('FileSize')
  const raw = field('Compression') === 'none'
  const bytes = raw ? object.narSize : size === undefined ? undefined : Number(size)
  return {
    object,
    path: `${endpoint.prefix}/${url}`,
    bytes,
    fileHash: field('FileHash'),
    narInfoBytes: Buffer.byteLength(narInfo),
  }
}

/** Runs `work` on every item, `width` at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item)
    }),
  )
}
