/**
 * All valid paths of the store and what they refer to, in memory, for questions about whole closures. It follows the
 * database: what was added is read by its ids, which only grow (`autoincrement`); what was removed shows in the number
 * of rows. For a thread of its own: the first reading of 100,000 paths takes about a second, later ones a tenth of it.
 */
import { baseNameOf } from '../../nix/store-path.ts'
import type { DatabaseConnection, Row } from './database-connection.ts'
import { toStorePath } from './database-row.ts'

export interface StoreNode {
  readonly id: number
  /** Undefined if the row has no path of this store: then it is never served. */
  readonly storePath: string | undefined
  readonly deriver: string | undefined
  /** Undefined unless the graph reads signatures. It is another object after a change. */
  readonly signed: SignedColumns | undefined
  /** Without itself. */
  readonly references: readonly StoreNode[]
  readonly referrers: readonly StoreNode[]
  readonly refersToItself: boolean
  /** References to rows that do not exist. */
  readonly lostReferences: number
}

/** As in the database: not checked. */
export interface SignedColumns {
  readonly hash: unknown
  readonly narSize: unknown
  readonly sigs: unknown
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }
interface Node extends Mutable<Omit<StoreNode, 'references' | 'referrers'>> {
  references: Node[]
  referrers: Node[]
}

const countQuery = 'select (select count(*) from ValidPaths), (select count(*) from Refs)'
const namesQuery = 'select id, path from ValidPaths'
const idsQuery = 'select id from ValidPaths'
const pathsQuery = 'select id, path, deriver from ValidPaths where id > '
// As text: one number that JavaScript cannot hold must not hide the whole store.
const signedQuery = 'select id, hash, cast(narSize as text), sigs from ValidPaths'
const referencesQuery = 'select referrer, reference from Refs where referrer > '

export class StoreGraph {
  readonly #storeDir: string
  readonly #withSignatures: boolean
  #connection: DatabaseConnection | undefined
  #nodes = new Map<number, Node>()
  #byBaseName = new Map<string, Node>()
  #lastId = 0
  #references = 0

  /** `withSignatures`: whether `signed` is read; each update then looks at all rows. */
  constructor(storeDir: string, withSignatures: boolean) {
    this.#storeDir = storeDir
    this.#withSignatures = withSignatures
  }

  get nodes(): Iterable<StoreNode> {
    return this.#nodes.values()
  }

  get count(): number {
    return this.#nodes.size
  }

  find(baseName: string): StoreNode | undefined {
    return this.#byBaseName.get(baseName)
  }

  /** Catches up with the database. If that fails, the next update reads everything again. */
  update(connection: DatabaseConnection): void {
    const isKnown = this.#connection === connection
    const mayContinue = isKnown || this.#connection !== undefined
    this.#connection = undefined
    connection.snapshot(() => {
      // A connection is opened again after each checkpoint, but also if the database was replaced.
      if (!mayContinue || (!isKnown && !this.#fits(connection))) this.#clear()
      const [paths, references] = connection.all(countQuery)[0] as readonly [number, number]
      this.#add(connection)
      if (this.#nodes.size !== paths) this.#removeMissing(connection)
      // Rare: a path was registered again with other references.
      if (this.#references !== references) this.#readReferencesAgain(connection)
      if (this.#withSignatures) this.#readSigned(connection)
    })
    this.#connection = connection
  }

  #clear(): void {
    this.#nodes = new Map()
    this.#byBaseName = new Map()
    this.#lastId = 0
    this.#references = 0
  }

  /** Whether the rows up to the last known id are those that are known, or fewer. */
  #fits(connection: DatabaseConnection): boolean {
    let fits = true
    connection.each(namesQuery, ([id, path]) => {
      if ((id as number) > this.#lastId) return
      const known = this.#nodes.get(id as number)
      if (known === undefined || (known.storePath !== path && known.storePath !== toStorePath(path, this.#storeDir)))
        fits = false
    })
    return fits
  }

  #add(connection: DatabaseConnection): void {
    const after = this.#lastId
    connection.each(pathsQuery + after, ([id, path, deriver]) => {
      const node: Node = {
        id: id as number,
        storePath: toStorePath(path, this.#storeDir),
        deriver: toStorePath(deriver, this.#storeDir),
        signed: undefined,
        references: [],
        referrers: [],
        refersToItself: false,
        lostReferences: 0,
      }
      this.#nodes.set(node.id, node)
      if (node.storePath !== undefined) this.#byBaseName.set(baseNameOf(node.storePath), node)
      if (node.id > this.#lastId) this.#lastId = node.id
    })
    connection.each(referencesQuery + after, (row) => this.#refer(row))
  }

  #refer([referrer, reference]: Row): void {
    this.#references++
    const from = this.#nodes.get(referrer as number)
    const to = this.#nodes.get(reference as number)
    if (from === undefined) return
    if (to === undefined) from.lostReferences++
    else if (to === from) from.refersToItself = true
    else {
      from.references.push(to)
      to.referrers.push(from)
    }
  }

  #removeMissing(connection: DatabaseConnection): void {
    const ids = new Set<number>()
    connection.each(idsQuery, ([id]) => ids.add(id as number))
    const gone = new Set<Node>()
    for (const node of this.#nodes.values()) if (!ids.has(node.id)) gone.add(node)
    for (const node of gone) {
      this.#nodes.delete(node.id)
      this.#references -= node.references.length + node.lostReferences + (node.refersToItself ? 1 : 0)
      const baseName = node.storePath === undefined ? undefined : baseNameOf(node.storePath)
      // A path that was added again has the name already.
      if (baseName !== undefined && this.#byBaseName.get(baseName) === node) this.#byBaseName.delete(baseName)
    }
    for (const node of this.#nodes.values()) {
      if (node.referrers.some((referrer) => gone.has(referrer)))
        node.referrers = node.referrers.filter((referrer) => !gone.has(referrer))
      const left = node.references.filter((reference) => !gone.has(reference))
      if (left.length === node.references.length) continue
      node.lostReferences += node.references.length - left.length
      node.references = left
    }
  }

  #readReferencesAgain(connection: DatabaseConnection): void {
    this.#references = 0
    for (const node of this.#nodes.values())
      Object.assign(node, { references: [], referrers: [], refersToItself: false, lostReferences: 0 })
    connection.each(`${referencesQuery}-1`, (row) => this.#refer(row))
  }

  #readSigned(connection: DatabaseConnection): void {
    connection.each(signedQuery, ([id, hash, narSize, sigs]) => {
      const node = this.#nodes.get(id as number)
      if (node === undefined) return
      const known = node.signed
      if (known === undefined || known.hash !== hash || known.narSize !== narSize || known.sigs !== sigs)
        node.signed = { hash, narSize, sigs }
    })
  }
}
