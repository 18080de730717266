/** Express's router for paths that mean exactly what they say: no trailing slash is added, no case folded. */
import { Router } from 'express'

export function createRouter(): Router {
  return Router({ strict: true, caseSensitive: true })
}
