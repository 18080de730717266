/** The `Content-Length` of a reply, in bytes; undefined if it is missing or no number that can be right. */
export function parseContentLength(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
