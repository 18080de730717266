// Writes config.schema.json from the settings in appliance/config/schema.ts: `npm run schema`.
import { writeFileSync } from 'node:fs'

import { toJsonSchema } from '../appliance/config/schema.ts'

writeFileSync(new URL('../config.schema.json', import.meta.url), `${JSON.stringify(toJsonSchema(), null, 2)}\n`)
