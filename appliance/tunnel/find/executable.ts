/**
 * Is a file a program for this machine? Asked before each start: execvp(3) hands what the kernel refuses to a shell,
 * which would then run garbage line by line. ELF: e_ident and e_machine (elf(5)); Mach-O and fat binaries by their
 * magic; scripts by `#!`.
 */
import { constants } from 'node:fs'
import { access, open } from 'node:fs/promises'
import { arch } from 'node:os'

import { systemCodeOf } from '../../complaint.ts'

export type Unexecutable = 'absent' | 'forbidden' | 'foreign'

/** e_machine. 64-bit kernels mostly run their 32-bit kin too. */
const machines: Readonly<Record<string, readonly number[]>> = { x64: [62, 3], ia32: [3], arm64: [183, 40], arm: [40] }
const machMagics = ['cffaedfe', 'cefaedfe', 'cafebabe', 'cafebabf']

/** `undefined`: it can be executed, as far as can be checked without executing it. */
export async function findUnexecutable(file: string): Promise<Unexecutable | undefined> {
  try {
    await access(file, constants.X_OK)
  } catch (error) {
    return systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR' ? 'absent' : 'forbidden'
  }
  return (await isForeign(file)) ? 'foreign' : undefined
}

/** Whether the file is anything but a program for this machine, be it executable or not. */
export async function isForeign(file: string): Promise<boolean> {
  const head = await readHead(file)
  // Programs may be executable and not readable.
  return head !== undefined && !isProgram(head)
}

async function readHead(file: string): Promise<Buffer | undefined> {
  try {
    await using handle = await open(file, 'r')
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(20), 0, 20, 0)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    return systemCodeOf(error) === 'EISDIR' ? Buffer.alloc(0) : undefined
  }
}

function isProgram(head: Buffer): boolean {
  if (head.subarray(0, 2).toString('latin1') === '#!') return true
  if (head.subarray(0, 4).toString('latin1') !== '\x7fELF')
    return machMagics.includes(head.subarray(0, 4).toString('hex'))
  const known = machines[arch()]
  const isBigEndian = head[5] === 2
  return (
    head.length >= 20 &&
    (known === undefined || known.includes(isBigEndian ? head.readUInt16BE(18) : head.readUInt16LE(18)))
  )
}
