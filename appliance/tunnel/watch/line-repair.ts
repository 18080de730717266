/**
 * Repairs log lines of cloudflared. Its threads sometimes write into each other's lines, so that one log record is in the
 * middle of another, whose end is on the next line:
 *
 *   {"level":"info","message":"Starting metrics server on …","time":"…Z"{"level":"info","message":"ICMP proxy will use
 * …","time":"…Z"}
 *   }
 *
 * A quotation mark inside a JSON string is escaped, so text that a stranger sent cannot begin a record.
 */

export interface LineRepair {
  /** Returns the records in this line, and those that it completes. A line that is not JSON is returned as it is. */
  add(line: string): readonly string[]
  /** Returns what is still incomplete. */
  end(): readonly string[]
}

/** The rest of a record comes with one of the next lines or never. */
const patienceLines = 8

export function createLineRepair(): LineRepair {
  let head = ''
  let waited = 0

  function drop(): readonly string[] {
    const dropped = head === '' ? [] : [head]
    head = ''
    return dropped
  }

  function repairBroken(line: string): readonly string[] {
    const { records, rest } = takeRecords(line)
    if (isRecord(rest)) return [rest, ...records]
    const old = drop()
    head = rest
    waited = 0
    return [...old, ...records]
  }

  return {
    add(line) {
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
      return line.startsWith('{') ? repairBroken(line) : [line]
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
