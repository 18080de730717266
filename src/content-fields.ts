/** The `Content-Length` of a reply, in bytes; undefined if it is missing or no number that can be right. */
export function parseContentLength(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** `bytes 10-19/20`: the position of the first byte, and the size of the whole. Undefined in any other form. */
export function parseContentRange(
  text: string | undefined,
): { readonly start: number; readonly size: number } | undefined {
  const [, start, size] = /^bytes (\d{1,15})-\d{1,15}\/(\d{1,15})$/.exec(text ?? '') ?? []
  return size === undefined ? undefined : { start: Number(start), size: Number(size) }
}
