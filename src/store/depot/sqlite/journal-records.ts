/** What is written beside the objects: usage, events, documents, build logs. */
import type { Pusher } from '../types.ts'
import { ObjectRecords } from './object-records.ts'

export class JournalRecords extends ObjectRecords {
  addUsage(user: string, day: number, bytes: number): void {
    this.writing.run(
      'insert into usage (user, day, bytes) values (?, ?, ?) on conflict (user, day) do update set bytes = bytes + excluded.bytes',
      user,
      day,
      bytes,
    )
  }

  addEvent(
    action: string,
    who: Pick<Pusher, 'user' | 'address' | 'ray'>,
    at: number,
    about: { storePath?: string; narHash?: string; detail?: string } = {},
  ): void {
    this.writing.run(
      'insert into event (at, user, address, ray, action, store_path, nar_hash, detail) values (?, ?, ?, ?, ?, ?, ?, ?)',
      at,
      who.user,
      who.address ?? null,
      who.ray ?? null,
      action,
      about.storePath ?? null,
      about.narHash ?? null,
      about.detail ?? null,
    )
  }

  /** `conflict`: other content is there already. */
  addDocument(kind: string, key: string, text: string, user: string, at: number): 'stored' | 'known' | 'conflict' {
    const known = this.findDocument(kind, key)
    if (known !== undefined) return known === text ? 'known' : 'conflict'
    this.writing.run(
      'insert into document (kind, key, text, user, at) values (?, ?, ?, ?, ?)',
      kind,
      key,
      text,
      user,
      at,
    )
    this.touchGeneration()
    return 'stored'
  }

  addLog(drvBaseName: string, sha256: string, fileSize: number, user: string, at: number): void {
    this.writing.run(
      'insert into log (drv, sha256, file_size, user, at) values (?, ?, ?, ?, ?)',
      drvBaseName,
      sha256,
      fileSize,
      user,
      at,
    )
  }

  removeLog(drvBaseName: string): void {
    this.writing.run('delete from log where drv = ?', drvBaseName)
  }

  allLogs(): { readonly drv: string; readonly fileSize: number }[] {
    return this.writing
      .all('select drv, file_size from log')
      .map((row) => ({ drv: String(row.drv), fileSize: Number(row.file_size) }))
  }
}
