/**
 * How many NARs are on their way at once. Each costs a connection, buffers and perhaps a file; beyond the limit a client is told to come again.
 */
export interface Transfers {
  /** A place, to be given back by calling the result once; undefined when all are taken. */
  enter(): (() => void) | undefined
  readonly underWay: number
}

export function createTransfers(max: number): Transfers {
  let underWay = 0
  return {
    get underWay() {
      return underWay
    },
    enter() {
      if (underWay >= max) return undefined
      underWay++
      return () => {
        underWay--
      }
    },
  }
}
