import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { TreeFiles } from '../../src/delta/tree-files.ts'
import { openFilesBelow, TempDir } from '../nar/trees.ts'

describe('TreeFiles', () => {
  test('opens regular files and nothing else: no symlink on the way or at the end, no directory, no fifo', async () => {
    using dir = new TempDir()
    const top = join(dir.path, 'top')
    mkdirSync(join(top, 'real'), { recursive: true })
    mkdirSync(join(dir.path, 'outside'))
    writeFileSync(join(dir.path, 'outside/secret'), 'secret')
    writeFileSync(join(top, 'real/f'), 'content')
    symlinkSync('../outside', join(top, 'way'))
    symlinkSync('../../outside/secret', join(top, 'real/end'))
    execFileSync('mkfifo', [join(top, 'fifo')])
    const files = new TreeFiles(top)
    for (const path of ['way/secret', 'real/end', 'real', 'fifo', 'absent', 'real/f/x', '', 'real/absent'])
      await expect(files.open(Buffer.from(path))).rejects.toMatchObject({ name: 'Fault' })
    const file = await files.open(Buffer.from('real/f'))
    expect(file.size).toBe(7)
    const part = Buffer.alloc(4)
    await file.read(part, 3)
    expect(part.toString()).toBe('tent')
    await expect(file.read(part, 4)).rejects.toMatchObject({ code: 'nar-changed' })
    file.close()
    file.close()
    // The descriptor is closed by another thread.
    while (openFilesBelow(dir.path).length > 0) await new Promise((resolve) => setImmediate(resolve))
    symlinkSync('top', join(dir.path, 'link'))
    await expect(new TreeFiles(join(dir.path, 'link')).open(Buffer.from('real/f'))).rejects.toMatchObject({
      name: 'Fault',
    })
  })
})
