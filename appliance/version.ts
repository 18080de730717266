/** The version, as package.json has it: two folders up in the built package, one in the sources. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { systemCodeOf } from './complaint.ts'

export function readVersion(): string {
  for (let dir = import.meta.dirname; ; dir = dirname(dir)) {
    try {
      return (JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { version: string }).version
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT' || dir === dirname(dir)) throw error
    }
  }
}
