/**
 * Responses that are not closed yet.
 *
 * Not a Set: in V8 each outgrown table of a Set points to the table that replaced it. When thousands of responses per
 * second come and go, one outgrown table in the old generation keeps all later tables alive, and with them every
 * response that was in one of them, until the next major garbage collection. Measured: a quarter of the processor time
 * of a narinfo request, in about every second process.
 */
import type { ServerResponse } from 'node:http'

export class OpenResponses {
  readonly #places: (ServerResponse | undefined)[] = []
  readonly #freePlaces: number[] = []

  get size(): number {
    return this.#places.length - this.#freePlaces.length
  }

  /** Returns a function that removes it, to be called once. */
  add(response: ServerResponse): () => void {
    const place = this.#freePlaces.pop() ?? this.#places.length
    this.#places[place] = response
    return () => {
      this.#places[place] = undefined
      this.#freePlaces.push(place)
    }
  }

  all(): ServerResponse[] {
    return this.#places.filter((response) => response !== undefined)
  }
}
