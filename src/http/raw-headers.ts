/** Header fields flat, name, value, name, value …: the form `writeHead` takes without copying. */
export type RawHeaders = readonly string[]

/** A browser takes a body as what its Content-Type says. */
export const nosniff: RawHeaders = ['X-Content-Type-Options', 'nosniff']

/** As well, and links in it do not say where they are. */
export const discreet: RawHeaders = [...nosniff, 'Referrer-Policy', 'no-referrer']
