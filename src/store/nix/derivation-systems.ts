/**
 * The systems that derivations build for, read from their `.drv` files. Such a file is named by the hash of its
 * content, so what was read once stays true; whether the derivation is still valid is the caller's question.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

import { parseDerivationSystem } from '../../nix/derivation.ts'

/** The system comes after the inputs, of which the largest derivations have thousands at 100 bytes each. */
const maxBytes = 1 << 20
const maxRemembered = 10_000

export class DerivationSystems {
  readonly #systems = new Map<string, string | undefined>()

  /** @param realPath of the derivation's file */
  find(deriver: string, realPath: string): string | undefined {
    if (this.#systems.has(deriver)) return this.#systems.get(deriver)
    const text = readStart(realPath)
    if (text === undefined) return undefined
    const system = parseDerivationSystem(text)
    if (this.#systems.size >= maxRemembered) this.#systems.delete(this.#systems.keys().next().value!)
    this.#systems.set(deriver, system)
    return system
  }
}

/** Undefined when it cannot be read. */
function readStart(file: string): string | undefined {
  let fd: number | undefined
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stat = fstatSync(fd)
    if (!stat.isFile()) return undefined
    const bytes = Buffer.alloc(Math.min(stat.size, maxBytes))
    return bytes.toString('latin1', 0, readSync(fd, bytes))
  } catch {
    return undefined
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
