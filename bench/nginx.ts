/**
 * The reference: one nginx worker on loopback that serves prebuilt files with sendfile and an open-file cache, without
 * logs and without credentials. Own configuration, own port, own pid file, below `bench/.work`; a system's nginx is
 * neither used nor touched.
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Endpoint, request } from './cache.ts'
import { startChild, stopChild } from './children.ts'
import { findFreePort, waitUntil } from './ports.ts'
import { workDir } from './work-dir.ts'

export interface Nginx extends AsyncDisposable {
  endpoint(form: 'raw' | 'zst'): Endpoint
}

export const wwwDir = join(workDir, 'www')

export async function openNginx(): Promise<Nginx> {
  const dir = join(workDir, 'nginx')
  mkdirSync(join(dir, 'tmp'), { recursive: true })
  for (const form of ['raw', 'zst']) {
    mkdirSync(join(wwwDir, form, 'nar'), { recursive: true })
    writeFileSync(join(wwwDir, form, 'nix-cache-info'), 'StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 30\n')
  }
  const port = await findFreePort()
  writeFileSync(join(dir, 'nginx.conf'), formatConfig(dir, port))
  const child = startChild('nginx', ['-p', dir, '-c', join(dir, 'nginx.conf'), '-e', join(dir, 'error.log')], {
    stdio: 'ignore',
  })
  const base = { host: '127.0.0.1', port, authorization: undefined }
  await waitUntil('nginx', child, () =>
    request({ ...base, label: 'nginx', prefix: '', pid: 0 }, '/raw/nix-cache-info').then((response) =>
      response.resume(),
    ),
  )
  const pid = workerOf(child)
  return {
    endpoint: (form) => ({ ...base, label: `nginx ${form}`, prefix: `/${form}`, pid }),
    [Symbol.asyncDispose]: () => stopChild(child),
  }
}

function workerOf(master: ChildProcess): number {
  return Number(readFileSync(`/proc/${master.pid}/task/${master.pid}/children`, 'utf8').trim().split(' ')[0])
}

function formatConfig(dir: string, port: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'scgi', 'uwsgi'].map(
    (kind) => `  ${kind}_temp_path ${join(dir, 'tmp')};`,
  )
  return `${process.getuid?.() === 0 ? 'user root;\n' : ''}worker_processes 1;
daemon off;
pid ${join(dir, 'nginx.pid')};
events { worker_connections 4096; }
http {
${temporary.join('\n')}
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  open_file_cache max=20000 inactive=1h;
  open_file_cache_valid 1h;
  default_type application/x-nix-nar;
  types { text/x-nix-narinfo narinfo; text/x-nix-cache-info nix-cache-info; }
  server { listen 127.0.0.1:${port} backlog=1024; root ${wwwDir}; }
}
`
}
