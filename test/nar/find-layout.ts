import type { Layout } from '../../src/nar/layout.ts'
import { LayoutWalk } from '../../src/nar/layout-walk.ts'

/** The layout of a whole tree, in one step. */
export function findLayout(realPath: string): Layout {
  return new LayoutWalk(realPath).step(Number.POSITIVE_INFINITY)!
}
