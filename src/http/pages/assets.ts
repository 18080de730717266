/**
 * The stylesheet and the script of all pages. Their URLs contain a hash of the contents, so that browsers can keep them
 * without asking again: `/assets/page-<16 hex>.css`.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface Asset {
  readonly path: string
  readonly contentType: string
  readonly body: Uint8Array
}

export const stylesheet = readAsset('css', 'text/css; charset=utf-8')
export const script = readAsset('js', 'text/javascript; charset=utf-8')

export const assets: readonly Asset[] = [stylesheet, script]

/** Read once, when the program starts. */
function readAsset(type: string, contentType: string): Asset {
  const body = readFileSync(new URL(`./assets/page.${type}`, import.meta.url))
  const hash = createHash('sha256').update(body).digest('hex').slice(0, 16)
  return { path: `/assets/page-${hash}.${type}`, contentType, body }
}
