/**
 * The edge's certificate, made anew at each start and its own authority: what `--cacert` is for. cloudflared dials with
 * SNI h2.cftunnel.com (its checks before the start with probe.cftunnel.com); the addresses are for those who fetch from
 * `httpsUrl`.
 */
import { generate } from 'selfsigned'

export interface Certificate {
  /** PEM. */
  readonly key: string
  readonly cert: string
}

const names = ['h2.cftunnel.com', 'quic.cftunnel.com', 'probe.cftunnel.com', 'localhost']

export async function createCertificate(hostname: string): Promise<Certificate> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: 'Edge simulator' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          ...[...names, hostname].map((value) => ({ type: 2 as const, value })),
          { type: 7 as const, ip: '127.0.0.1' },
        ],
      },
    ],
  })
  return { key, cert }
}
