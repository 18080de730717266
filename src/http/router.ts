/** Express's router with strict paths: trailing slashes and upper or lower case matter. */
import { Router } from 'express'

export function createRouter(): Router {
  return Router({ strict: true, caseSensitive: true })
}
