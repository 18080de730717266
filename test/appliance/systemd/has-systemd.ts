/**
 * systemd's own tools come with its package, which the tests install where they may. Elsewhere the tests that need them
 * are skipped, and say so.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { test } from '@jest/globals'

export function isOnPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

export function testWith(...commands: readonly string[]): typeof test.skip {
  const missing = commands.filter((command) => !isOnPath(command))
  if (missing.length === 0) return test
  process.stderr.write(`Skipping tests: there is no ${missing.join(', ')} on PATH (Debian: apt-get install systemd)\n`)
  return test.skip
}
