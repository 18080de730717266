/** What the appliance asks of its stores: whether they can be read, and whether a path is here. */
import type { Store } from '../../src/index.ts'
import { reasonOf } from '../complaint.ts'

export async function isHere(stores: readonly Store[], hashPart: string): Promise<boolean> {
  for (const store of stores) {
    try {
      if ((await store.find(hashPart)) !== undefined) return true
    } catch {
      // It cannot be read now: others may have it.
    }
  }
  return false
}

/**
 * Queries the stores, so that a recovered store becomes ready without a client's request. Each store limits how often
 * it retries.
 */
export function findStoreProblem(stores: readonly Store[]): string | undefined {
  const problems = stores.map((store) => {
    try {
      store.generation()
      return undefined
    } catch (error) {
      return store.health().problem ?? reasonOf(error)
    }
  })
  return problems.includes(undefined) ? undefined : problems[0]
}
