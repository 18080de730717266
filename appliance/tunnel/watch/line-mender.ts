/**
 * cloudflared's threads write into one another's lines now and then, so that one log record stands in the middle of
 * another and its end on the next line:
 *
 *   {"level":"info","message":"Starting metrics server on …","time":"…Z"{"level":"info","message":"ICMP proxy will use
 * …","time":"…Z"}
 *   }
 *
 * Here they become records again. A quotation mark inside a JSON text is escaped, so that nothing a stranger sent can
 * begin a record.
 */

export interface LineMender {
  /** @returns the records in it, and what became whole by it; what is no JSON as it came */
  mend(line: string): readonly string[]
  /** What still waits for its end. */
  end(): readonly string[]
}

/** Its end comes at once or never. */
const patienceLines = 8

export function createLineMender(): LineMender {
  let head = ''
  let waited = 0

  function drop(): readonly string[] {
    const dropped = head === '' ? [] : [head]
    head = ''
    return dropped
  }

  function mendBroken(line: string): readonly string[] {
    const { records, rest } = takeRecords(line)
    if (isRecord(rest)) return [rest, ...records]
    const old = drop()
    head = rest
    waited = 0
    return [...old, ...records]
  }

  return {
    mend(line) {
      waited += 1
      if (isRecord(line)) {
        return head !== '' && waited > patienceLines ? [...drop(), line] : [line]
      }
      if (head !== '') {
        const { records, rest } = takeRecords(head + line)
        if (isRecord(rest)) {
          head = ''
          return [rest, ...records]
        }
      }
      return line.startsWith('{') ? mendBroken(line) : [line]
    },
    end: drop,
  }
}

function isRecord(text: string): boolean {
  if (!text.startsWith('{')) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Takes out of a broken record those that stand whole inside it. */
function takeRecords(line: string): { readonly records: string[]; readonly rest: string } {
  const records: string[] = []
  let rest = line
  for (let at = rest.indexOf('{"', 1); at !== -1; at = rest.indexOf('{"', at)) {
    const end = endOfObject(rest, at)
    const inner = end === undefined ? '' : rest.slice(at, end)
    if (/"level":"/.test(inner) && isRecord(inner)) {
      records.push(inner)
      rest = rest.slice(0, at) + rest.slice(end)
    } else at += 2
  }
  return { records, rest }
}

/** Behind the brace that closes the one at `start`. */
function endOfObject(text: string, start: number): number | undefined {
  let depth = 0
  let isInText = false
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (isInText && character === '\\') at++
    else if (character === '"') isInText = !isInText
    else if (!isInText && character === '{') depth++
    else if (!isInText && character === '}' && --depth === 0) return at + 1
  }
  return undefined
}
