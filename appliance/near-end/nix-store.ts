/** The location of this machine's Nix store, from Nix's environment variables. */
import type { Environment } from '../machine.ts'

export interface NixStorePlace {
  /** Logical: `/nix/store`. */
  readonly dir: string
  readonly realDir: string
  readonly stateDir: string
  readonly database: string
  readonly logDir: string
  readonly daemonSocket: string
}

/**
 * Source: Nix manual, "Common Environment Variables". $BURROW_REAL_STORE_DIR: the real location of a chroot store.
 */
export function findNixStore(env: Environment): NixStorePlace {
  const { NIX_STORE_DIR, NIX_STATE_DIR, NIX_LOG_DIR, NIX_DAEMON_SOCKET_PATH, BURROW_REAL_STORE_DIR } = env
  const dir = NIX_STORE_DIR ?? '/nix/store'
  const stateDir = NIX_STATE_DIR ?? '/nix/var/nix'
  return {
    dir,
    realDir: BURROW_REAL_STORE_DIR ?? dir,
    stateDir,
    database: `${stateDir}/db/db.sqlite`,
    logDir: NIX_LOG_DIR ?? '/nix/var/log/nix',
    daemonSocket: NIX_DAEMON_SOCKET_PATH ?? `${stateDir}/daemon-socket/socket`,
  }
}
