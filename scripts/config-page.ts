/** burrow.json(5), from the JSON Schema of the config. */
import { toJsonSchema } from '../appliance/config/schema.ts'
import { readVersion } from '../appliance/version.ts'
import { example, formatHead, heading, item, paragraph } from './roff.ts'

interface Node {
  readonly type?: string
  readonly description?: string
  readonly default?: unknown
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly properties?: Readonly<Record<string, Node>>
  readonly items?: Node
  readonly anyOf?: readonly Node[]
}

export function formatConfigPage(): string {
  const schema = toJsonSchema() as Node
  return [
    formatHead('burrow.json', 5, readVersion(), 'File Formats'),
    `${heading('NAME')}burrow.json \\- configuration of burrow\n`,
    heading('DESCRIPTION'),
    paragraph(schema.description ?? ''),
    paragraph(
      'One JSON object, in the file that --config or $BURROW_CONFIG names, else in burrow.json in the working directory; without one, the defaults hold. Unknown and repeated keys are refused. Relative paths start at the folder of the file. "burrow check-config" tells everything that is wrong with one.',
    ),
    heading('SETTINGS'),
    ...formatSettings(schema, ''),
    heading('EXAMPLES'),
    example(
      JSON.stringify(
        {
          listen: '127.0.0.1:8080',
          users: [{ name: 'ben', passwordHash: '$argon2id$v=19$m=65536,t=2,p=1$...' }],
          signing: { keyFiles: ['$CREDENTIALS_DIRECTORY/signing-key'] },
          tunnel: { mode: 'token', tokenFile: '$CREDENTIALS_DIRECTORY/tunnel-token', hostname: 'cache.example.org' },
        },
        null,
        2,
      ).split('\n'),
    ),
    `${heading('SEE ALSO')}.BR burrow (8)\n`,
  ].join('')
}

function formatSettings(node: Node, prefix: string): string[] {
  return childrenOf(node, prefix).flatMap(([name, child]) => [
    item(name, describe(child)),
    ...formatSettings(child, name),
  ])
}

/** Of all the forms that a value may have; a key that several of them have is told once. */
function childrenOf(node: Node, prefix: string): [string, Node][] {
  const own = [node, ...(node.anyOf ?? [])].flatMap((form) =>
    Object.entries(form.properties ?? {}).map(([name, child]) => [join(prefix, name), child] as const),
  )
  const ofItems = node.items === undefined ? [] : childrenOf(node.items, `${prefix}[]`)
  return [...new Map([...own, ...ofItems].filter(([name]) => name !== '$schema'))]
}

const join = (prefix: string, name: string) => (prefix === '' ? name : `${prefix}.${name}`)

function describe(node: Node): string {
  const words = wordsOf(node)
  const parts = [
    node.description,
    words.length > 0 && !words.every((word) => node.description?.includes(word))
      ? `One of ${words.join(', ')}.`
      : undefined,
    node.default === undefined || typeof node.default === 'object'
      ? undefined
      : `Default: ${JSON.stringify(node.default)}.`,
  ]
  const text = parts.filter((part) => part !== undefined).join(' ')
  return text === '' ? `${typeof node.const === 'string' ? JSON.stringify(node.const) : 'See above'}.` : text
}

function wordsOf(node: Node): string[] {
  const forms = [node, ...(node.anyOf ?? [])]
  return forms
    .flatMap((form) => form.enum ?? (form.const === undefined ? [] : [form.const]))
    .map((word) => JSON.stringify(word))
}
