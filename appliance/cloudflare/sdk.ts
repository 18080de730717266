/**
 * Cloudflare's SDK. scripts/bundle.mjs makes one file of it (0.7 MB; the package has 120), which stands in its place
 * where only the production packages are.
 */
export { Cloudflare } from 'cloudflare/client'
