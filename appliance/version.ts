/**
 * The version, as package.json has it: two folders up in the built package, one in the sources. In a single file it is
 * written where this is.
 */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { systemCodeOf } from './complaint.ts'

declare const BUNDLED_VERSION: string

/** The client in one file, as scripts/bundle.mjs makes it. */
export const isSingleFile = (): boolean => typeof BUNDLED_VERSION === 'string'

export function readVersion(): string {
  if (isSingleFile()) return BUNDLED_VERSION
  for (let dir = import.meta.dirname; ; dir = dirname(dir)) {
    try {
      return (JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as { version: string }).version
    } catch (error) {
      if (systemCodeOf(error) !== 'ENOENT' || dir === dirname(dir)) throw error
    }
  }
}
