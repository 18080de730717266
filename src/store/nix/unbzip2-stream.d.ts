/** The block decoder inside unbzip2-stream, which has no types of its own. */
declare module 'unbzip2-stream/lib/bzip2.js' {
  /** Up to 32 bits as a number, most significant first; `null` skips to the next byte boundary. */
  type ReadBits = (count: number | null) => number
  const bzip2: {
    /** The size of blocks in units of 100,000 bytes. @throws when it is no bzip2 header */
    header(bits: ReadBits): number
    /**
     * Decodes one block, a byte at a time; `null` when there was none but the end of the stream. @throws when it is
     * damaged
     */
    decompress(
      bits: ReadBits,
      take: (byte: number) => void,
      buffer: Int32Array,
      bufferLength: number,
      streamChecksum: number,
    ): number | null
  }
  export default bzip2
}
