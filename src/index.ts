/** The only door to the cache: what a program that gives it a life may use. */
export { type Cache, type CacheStats, openCache } from './cache.ts'
export type { CacheOptions, Reloadable } from './cache-options.ts'
export { type Clock, systemClock } from './clock.ts'
export { createFileBuffers } from './disk/file-buffers.ts'
export { DirectoryLocked, takeDirectoryLock } from './disk/lock.ts'
export { Fault, type FaultCode } from './faults.ts'
export { formatBytes, formatCount, formatRelative, formatSpan, formatTime, printable } from './format.ts'
export { formatBasicAuthorization } from './http/auth/credentials.ts'
export type { Visitors } from './http/auth/strategies.ts'
export { type Access, accessKinds, type User } from './http/auth/user.ts'
export type { Exchange, NarTally, Observer, PushTally, RouteName } from './http/observer.ts'
export { defaultLimits, type IndexPage, type Limits } from './http/origin.ts'
export { type Contact, parseContact } from './http/pages/contact.ts'
export type { ServiceStatus, TunnelView } from './http/site-status.ts'
export {
  type Invitation,
  type InvitationWish,
  type IssuedInvitation,
  isRefusal,
  type NewUser,
  type Team,
  type TeamRefusal,
  type TeamUser,
  type UserActivity,
  type UserSource,
} from './http/team.ts'
export type {
  DayUsage,
  MissedPath,
  PathUsage,
  SlowTransfer,
  TunnelDrop,
  Usage,
  UsageFigures,
  UsagePeriod,
  UsageSummary,
  UserUsage,
} from './http/usage.ts'
export type { LarderStats } from './larder/larder.ts'
export { type Log, silentLog } from './log.ts'
export type { Decompressors } from './nar/decompress.ts'
export {
  formatNetrcLine,
  formatSettings,
  hostOf,
  memoryValues,
  outageSettings,
  outageValues,
  quoteToken,
} from './nix/client-lines.ts'
export { formatNixValue, type NixValue } from './nix/nix-value.ts'
export { parseNarInfo } from './nix/parse-nar-info.ts'
export { formatSecretKey, generateSecretKey, parseSecretKey, publicKeyOf, type SecretKey } from './nix/secret-key.ts'
export { baseNameOf, hashPartOf, nameOf } from './nix/store-path.ts'
export { FarEnd, type FarEndOptions } from './push/far-end.ts'
export { type PushOptions, type PushResult, pushPaths } from './push/push.ts'
export type { PushEvent } from './push/push-event.ts'
export { PushFault } from './push/push-fault.ts'
export { readAtMost } from './read-at-most.ts'
export type { Relay, RelayOptions, RelayStatus } from './relay/contract.ts'
export { openRelay } from './relay/relay.ts'
export { type RelayUploads, relayStatusPath } from './relay/relay-server.ts'
export type { RelayTotals } from './relay/totals.ts'
export { NarSpool } from './relay/uploads/nar-spool.ts'
export { PushedFiles } from './relay/uploads/pushed-files.ts'
export { UploadHandler } from './relay/uploads/upload-handler.ts'
export { isPinName } from './store/depot/contract.ts'
export type { Depot } from './store/depot/depot.ts'
export { createLocalSource } from './store/depot/local-source.ts'
export { openDepot } from './store/depot/open-depot.ts'
export type { DepotPolicy } from './store/depot/types.ts'
export { type DirectoryStoreOptions, openDirectoryStore } from './store/directory/directory-store.ts'
export type { DepotHealth, StoreHealth } from './store/health.ts'
export { type LocalStore, openLocalStore } from './store/nix/local-store.ts'
export type { Explanation, Refusal } from './store/publish/explain.ts'
export { findGlobProblem } from './store/publish/name-glob.ts'
export type { PublishedHealth, PublishPolicy, StorePlace } from './store/publish/policy.ts'
export { Publication } from './store/publish/publication.ts'
export { openPublishedStore, type PublishedStore } from './store/publish/published-store.ts'
export { type ResolvedRoot, resolveRoots } from './store/publish/resolve-roots.ts'
export type { Store, StoreObject } from './store/store.ts'
export { withoutUpstreams } from './store/stores.ts'
export { keepInDepot } from './store/upstream/keep-in-depot.ts'
export { openUpstreamStore, type UpstreamStore } from './store/upstream/upstream-store.ts'
