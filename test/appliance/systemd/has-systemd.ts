/**
 * systemd's own tools come with its package, which the tests install where they may. Elsewhere the tests that need them
 * are skipped, and say so.
 */
import type { test } from '@jest/globals'

import { testWithPrograms } from '../../fixtures/programs.ts'

export { isOnPath } from '../../fixtures/programs.ts'

export function testWith(...commands: readonly string[]): typeof test.skip {
  return testWithPrograms('systemd', commands)
}
