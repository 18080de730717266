// Writes man/burrow.8 from the command line's own --help and man/burrow.json.5 from the config's schema: `npm run man`.
import { mkdirSync, writeFileSync } from 'node:fs'

import { formatCommandPage } from './command-page.ts'
import { formatConfigPage } from './config-page.ts'

const dir = new URL('../man/', import.meta.url)
mkdirSync(dir, { recursive: true })
writeFileSync(new URL('burrow.8', dir), formatCommandPage())
writeFileSync(new URL('burrow.json.5', dir), formatConfigPage())
