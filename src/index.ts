/** The only door to the cache: what a program that gives it a life may use. */
export { type Cache, type CacheOptions, type CacheStats, openCache, type Reloadable } from './cache.ts'
export { Fault, type FaultCode } from './faults.ts'
export type { Exchange, Observer, RouteName } from './http/observer.ts'
export { defaultLimits, type Filters, type IndexPage, type Limits } from './http/origin.ts'
export type { Access, User } from './http/user.ts'
export { type Log, silentLog } from './log.ts'
