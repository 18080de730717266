/**
 * The depot's database: what is here, whose it is, and who pushed it. Times are milliseconds since 1970, hashes
 * `sha256:<52 Nix32>`. The state `bytes` is kept by triggers, so that the bytes in use are known without summing up, in
 * the same transaction as what they count.
 */
import type { DatabaseSync } from 'node:sqlite'

export const schemaVersion = 1

const tables = `
create table state (key text primary key, value integer not null) without rowid;
insert into state values ('generation', 1), ('bytes', 0);

-- A NAR whose file was found right when it came. damaged_at: its file is gone or wrong since; the next push of the same NAR replaces it.
create table nar (
  nar_hash text primary key, nar_size integer not null, compression text not null, file_hash text not null unique, file_size integer not null,
  flat_sha256 text, verified_at integer not null, damaged_at integer) without rowid;

-- promised_at: when a pusher learned that it need not be sent.
create table object (
  hash_part text primary key, store_path text not null unique, nar_hash text not null references nar, deriver text, ca text, ca_checked integer not null,
  signatures text not null, pushed_at integer not null, pushed_by text not null, via text not null, last_used integer not null,
  promised_at integer not null default 0) without rowid;
create index object_nar on object (nar_hash);

create table ref (hash_part text not null references object on delete cascade, ref_path text not null, primary key (hash_part, ref_path)) without rowid;
create index ref_path on ref (ref_path);

-- Paths that were not sent, since a cache whose key we trust has signed them.
create table elsewhere (store_path text primary key, nar_hash text not null, nar_size integer not null, key_name text not null, seen_at integer not null) without rowid;

-- Claims on NARs whose narinfo has not come yet; several files (compressions) may stand for one NAR.
create table loose (
  file_hash text primary key, nar_hash text not null references nar on delete cascade, compression text not null, file_size integer not null,
  user text not null, at integer not null) without rowid;
create index loose_nar on loose (nar_hash);
create index loose_user on loose (user);

create table assembly (
  id integer primary key autoincrement, user text not null, nar_hash text not null, nar_size integer not null, part_bytes integer not null,
  flushed_parts integer not null, flushed_bytes integer not null, touched integer not null, unique (user, nar_hash, nar_size, part_bytes));
create table part (
  assembly integer not null references assembly on delete cascade, idx integer not null, file_size integer not null, digest text not null,
  primary key (assembly, idx)) without rowid;

create table pin (name text primary key, keep_last integer not null, expires_at integer) without rowid;
create table pin_revision (id integer primary key autoincrement, name text not null references pin on delete cascade, at integer not null, user text not null);
create table pin_path (revision integer not null references pin_revision on delete cascade, store_path text not null, primary key (revision, store_path)) without rowid;
create index pin_path_path on pin_path (store_path);

create table forgotten (store_path text not null, nar_hash text not null, at integer not null, by text not null, primary key (store_path, nar_hash)) without rowid;
create table usage (user text not null, day integer not null, bytes integer not null, primary key (user, day)) without rowid;
create table document (kind text not null, key text not null, text text not null, user text not null, at integer not null, primary key (kind, key)) without rowid;
create table log (drv text primary key, sha256 text not null, file_size integer not null, user text not null, at integer not null) without rowid;

create table event (
  id integer primary key, at integer not null, user text not null, address text, ray text, action text not null, store_path text, nar_hash text, detail text);
create index event_path on event (store_path);
create index event_at on event (at);
`

/** Each table with a column of bytes on disk keeps the sum. */
const counted = [
  ['nar', 'file_size'],
  ['part', 'file_size'],
  ['assembly', 'flushed_bytes'],
  ['log', 'file_size'],
] as const

const triggers = counted.map(
  ([table, column]) => `
create trigger ${table}_added after insert on ${table} begin update state set value = value + new.${column} where key = 'bytes'; end;
create trigger ${table}_removed after delete on ${table} begin update state set value = value - old.${column} where key = 'bytes'; end;
create trigger ${table}_changed after update of ${column} on ${table} begin update state set value = value + new.${column} - old.${column} where key = 'bytes'; end;`,
)

/** @throws {Error} when the database was made by a newer Burrow */
export function prepareSchema(database: DatabaseSync, file: string): void {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (version > schemaVersion) {
    throw new Error(
      `Cannot use "${file}": its schema has version ${version}, and this Burrow knows ${schemaVersion}. Install the newer Burrow again`,
    )
  }
  if (version === schemaVersion) return
  database.exec(`BEGIN IMMEDIATE; ${tables} ${triggers.join('')} PRAGMA user_version = ${schemaVersion}; COMMIT`)
}
