/**
 * The faults of the cache: what can go wrong that is neither a miss (a value) nor a bug (a plain Error).
 * Branch on `code`, never on a message. Messages name paths and causes and belong in the log; no reply carries them.
 */

export type FaultCode =
  /** The bytes packed do not hash to what the store's record says, or have another length. */
  | 'nar-mismatch'
  /** A file grew, shrank, vanished or changed its kind while it was packed. */
  | 'nar-changed'
  /** A file of the store object cannot be read (rights, I/O error). */
  | 'nar-unreadable'
  /** The store's database cannot be read at the moment. */
  | 'store-unavailable'
  /** The bytes asked for cannot be had in this form; says nothing against the store object. */
  | 'absent'
  /** More work is asked for than is allowed at once: try again later. */
  | 'busy'
  /** The work was cancelled because its result is no longer needed, or the program ends. */
  | 'abandoned'
  /** The larder's directory cannot be written (full disk, rights). */
  | 'larder-unwritable'
  /**
   * A kept file does not hold the bytes it was kept for; it is dropped and made again: retry. Says nothing against
   * the store object.
   */
  | 'larder-damaged'
  /**
   * A delta is damaged, or does not fit to its base: the NAR must be had in another form. Says nothing against either
   * store object.
   */
  | 'delta-unusable'
  /** A change of the users cannot be stored (full disk, rights): nothing was changed. */
  | 'users-unwritable'

export class Fault extends Error {
  override readonly name = 'Fault'
  readonly code: FaultCode

  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** True for the three faults after which the store object must not be served. */
export function condemnsStoreObject(fault: unknown): fault is Fault {
  return (
    fault instanceof Fault &&
    (fault.code === 'nar-mismatch' || fault.code === 'nar-changed' || fault.code === 'nar-unreadable')
  )
}
