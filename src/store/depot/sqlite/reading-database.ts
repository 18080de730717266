/** A connection that only reads: each look-up sees what was committed before it. */
import { DatabaseSync } from 'node:sqlite'

import { Connection } from './connection.ts'

export class ReadingDatabase extends Connection {
  constructor(file: string) {
    super(new DatabaseSync(file, { readOnly: true, timeout: 5000 }))
  }

  /** Another number whenever the other connection has committed anything. */
  dataVersion(): number {
    return Number(this.get('PRAGMA data_version')!.data_version)
  }
}
