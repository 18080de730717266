/** Header fields flat, name, value, name, value …: the form `writeHead` takes without copying. */
export type RawHeaders = readonly string[]
