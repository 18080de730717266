/** The files of a store path: a part of its page, and a page for each directory. */
import { Fault } from '../../faults.ts'
import type { NarListing } from '../../nar/listing.ts'
import { baseNameOf, hashPartOf, nameOf } from '../../nix/store-path.ts'
import type { StoreObject } from '../../store/store.ts'
import type { CatalogueEntry } from '../narinfo/catalogue.ts'
import { withdrawIfCondemned } from '../origin.ts'
import { type Html, html } from '../pages/html.ts'
import { findEntry, parseListing, renderFiles } from '../pages/path/files.ts'
import { sendPage } from '../pages/send-page.ts'
import type { Site } from '../pages/site.ts'
import type { Reply } from '../reply.ts'

/** A listing of a NAR that must be decompressed for it. */
const maxUnpackedBytes = 256 * 1024 * 1024
/** Parsed at once, in some 10 ms. */
const maxListingBytes = 4 * 1024 * 1024

/** The listing would take too long where it must be unpacked: it is then a link. */
export async function findFiles(site: Site, object: StoreObject): Promise<Html> {
  const { storePath, narSize } = object.info
  const page = `/path/${hashPartOf(storePath)}/files`
  if (object.form.kind === 'file' && narSize > 8 * 1024 * 1024) return html`<p><a href="${page}">List the files</a></p>`
  const root = await readListing(site, object)
  return typeof root === 'string' ? html`<p class="muted">${root}</p>` : renderFiles(root, nameOf(storePath), [], page)
}

export async function sendFiles(
  site: Site,
  reply: Reply,
  { object }: CatalogueEntry,
  path: readonly string[],
): Promise<void> {
  const { storePath } = object.info
  const root = await readListing(site, object)
  const entry = typeof root === 'string' ? root : findEntry(root, path)
  if (entry === undefined) return reply.refuse(404)
  const files =
    typeof entry === 'string'
      ? html`<p class="muted">${entry}</p>`
      : renderFiles(entry, path.at(-1) ?? nameOf(storePath), path, `/path/${hashPartOf(storePath)}/files`)
  const title = `Files of ${nameOf(storePath)}`
  const body = html`<div class="stack">
<h1>${title}</h1>
<p><a href="/path/${hashPartOf(storePath)}">${baseNameOf(storePath)}</a>${path.length > 0 && html` / <code>${path.join('/')}</code>`}</p>
${files}
</div>`
  sendPage(reply, site.particulars(), { title }, body, 'missed')
}

/** The root of the listing, or why there is none, for people. */
async function readListing({ origin }: Site, object: StoreObject): Promise<NarListing | string> {
  const { info, form, store } = object
  const tooMany = 'There are too many files to show them here.'
  if (form.kind === 'file' && info.narSize > maxUnpackedBytes) return tooMany
  const release = await store.leases.hold(info.storePath)
  try {
    const json = await (form.kind === 'tree' ? origin.packer.listJson(form.realPath) : form.list())
    return json.byteLength > maxListingBytes ? tooMany : (parseListing(json) ?? 'The files cannot be read.')
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    await withdrawIfCondemned(object, error).catch(() => {})
    return 'The files cannot be read at the moment.'
  } finally {
    release()
  }
}
