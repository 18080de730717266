/**
 * Cloudflare's SDK. scripts/bundle.mjs bundles it into one file (0.7 MB; the package has 120), which is used if only the
 * production packages are installed.
 */
export { Cloudflare } from 'cloudflare/client'
