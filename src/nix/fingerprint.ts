/**
 * The text that a store object's signature covers. Deriver, URL, compression and CA are not covered.
 *
 *     1;/nix/store/iah2…-app-1.0;sha256:15f0xn6y…;400;/nix/store/iah2…-app-1.0,/nix/store/y3s1…-lib-1.0
 *
 * The last `;` is kept when there are no references. Source: Nix, `ValidPathInfo::fingerprint`.
 */
import type { PathInfo } from './path-info.ts'

export function formatFingerprint({
  storePath,
  narHash,
  narSize,
  references,
}: Pick<PathInfo, 'storePath' | 'narHash' | 'narSize' | 'references'>): string {
  return `1;${storePath};${narHash};${narSize};${references.join(',')}`
}
