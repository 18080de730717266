/** What is written of uploads in parts. */
import { JournalRecords } from './journal-records.ts'
import type { AssemblyRecord } from './queries.ts'

export class AssemblyRecords extends JournalRecords {
  /** Returns the assembly, made if it was not there. */
  openAssembly(user: string, narHash: string, narSize: number, partBytes: number, at: number): AssemblyRecord {
    this.writing.run(
      `insert into assembly (user, nar_hash, nar_size, part_bytes, flushed_parts, flushed_bytes, touched) values (?, ?, ?, ?, 0, 0, ?)
       on conflict (user, nar_hash, nar_size, part_bytes) do update set touched = excluded.touched`,
      user,
      narHash,
      narSize,
      partBytes,
      at,
    )
    return this.findAssembly(user, narHash, narSize, partBytes)!
  }

  findAssemblyById(id: number): AssemblyRecord | undefined {
    const row = this.writing.get('select user, nar_hash, nar_size, part_bytes from assembly where id = ?', id)
    return (
      row && this.findAssembly(String(row.user), String(row.nar_hash), Number(row.nar_size), Number(row.part_bytes))
    )
  }

  allAssemblies(): number[] {
    return this.writing.all('select id from assembly order by touched').map((row) => Number(row.id))
  }

  assembliesOfNar(narHash: string): number[] {
    return this.writing.all('select id from assembly where nar_hash = ?', narHash).map((row) => Number(row.id))
  }

  /** Bytes of parts that wait to be appended, of all assemblies. */
  waitingBytes(): number {
    return Number(this.writing.get('select coalesce(sum(file_size), 0) as bytes from part')!.bytes)
  }

  addPart(assembly: number, index: number, fileSize: number, digest: string): void {
    this.writing.run(
      'insert or replace into part (assembly, idx, file_size, digest) values (?, ?, ?, ?)',
      assembly,
      index,
      fileSize,
      digest,
    )
  }

  removePart(assembly: number, index: number): void {
    this.writing.run('delete from part where assembly = ? and idx = ?', assembly, index)
  }

  /** The parts before `flushedParts` are in the growing file now, up to this byte. */
  setFlushed(assembly: number, flushedParts: number, flushedBytes: number): void {
    this.writing.run(
      'update assembly set flushed_parts = ?2, flushed_bytes = ?3 where id = ?1',
      assembly,
      flushedParts,
      flushedBytes,
    )
    this.writing.run('delete from part where assembly = ? and idx < ?', assembly, flushedParts)
  }

  removeAssembly(id: number): void {
    this.writing.run('delete from assembly where id = ?', id)
  }

  assembliesBefore(at: number): number[] {
    return this.writing.all('select id from assembly where touched < ?', at).map((row) => Number(row.id))
  }
}
