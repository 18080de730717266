/**
 * Several stores as one: each question goes to them in order, and the first answer counts. An object says itself which
 * store has it. As long as the stores answer at once, so does this: a promise comes only from the first store that
 * needs one.
 */
import { Fault } from '../faults.ts'
import type { Awaitable, Store, Stores } from './store.ts'

/**
 * In the order in which they are asked; at least one, all with the same store directory. Throws a plain Error
 * otherwise.
 */
export function combineStores(stores: readonly Store[]): Stores {
  const [first, ...others] = stores
  if (first === undefined) throw new Error('Cannot combine no stores')
  for (const { name, storeDir } of others) {
    if (storeDir !== first.storeDir)
      throw new Error(
        `Cannot serve "${name}" beside "${first.name}": its store directory is "${storeDir}", not "${first.storeDir}"`,
      )
  }
  return {
    storeDir: first.storeDir,
    generation: () => sumGenerations(stores),
    find: (hashPart, fits) => firstAnswer(stores, (store) => store.find(hashPart, fits)),
    findSystem(deriver) {
      for (const store of stores) {
        const system = store.findSystem(deriver)
        if (system !== undefined) return system
      }
      return undefined
    },
    async openLog(drvBaseName) {
      return await firstAnswer(stores, (store) => store.openLog(drvBaseName))
    },
    findRealisation: (id) => firstAnswer(stores, (store) => store.findRealisation(id)),
    health: () => stores.map((store) => store.health()),
  }
}

/** What is on this machine: upstreams take time, and are asked only for what a client needs. */
export function withoutUpstreams(stores: readonly Store[]): readonly Store[] {
  return stores.filter((store) => store.health().type !== 'upstream')
}

/**
 * Each only ever grows, so the sum is unchanged only while all of them are. While one cannot be read it equals nothing,
 * not even itself: what is remembered is not used.
 */
function sumGenerations(stores: readonly Store[]): number {
  if (stores.length === 1) return stores[0]!.generation()
  let sum = 0
  const faults: unknown[] = []
  for (const store of stores) {
    try {
      sum += store.generation()
    } catch (error) {
      if (!isUnavailable(error)) throw error
      faults.push(error)
    }
  }
  if (faults.length === stores.length) throw faults[0]
  return faults.length === 0 ? sum : Number.NaN
}

/**
 * The first answer that is not `undefined`. A store that cannot be read is passed over; its fault is thrown only when
 * no other store has an answer, because then nothing is known.
 */
function firstAnswer<T>(
  stores: readonly Store[],
  ask: (store: Store) => Awaitable<T | undefined>,
  from = 0,
  earlier?: unknown,
): Awaitable<T | undefined> {
  let fault = earlier
  for (let index = from; index < stores.length; index++) {
    try {
      const answer = ask(stores[index]!)
      if (answer instanceof Promise) {
        return answer.then(
          (value) => value ?? firstAnswer(stores, ask, index + 1, fault),
          (error: unknown) => {
            if (!isUnavailable(error)) throw error
            return firstAnswer(stores, ask, index + 1, fault ?? error)
          },
        )
      }
      if (answer !== undefined) return answer
    } catch (error) {
      if (!isUnavailable(error)) throw error
      fault ??= error
    }
  }
  if (fault !== undefined) throw fault
  return undefined
}

function isUnavailable(error: unknown): boolean {
  return error instanceof Fault && error.code === 'store-unavailable'
}
