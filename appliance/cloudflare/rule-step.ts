/**
 * The cache rule that prevents the edge from caching this host, because a shared web cache is not a file store. Without
 * it, the headers of the replies still forbid caching. Other rules are not changed.
 */
import { printable } from '../terminal/format.ts'
import type { CacheRule, CacheRuleset } from './api-types.ts'
import { formatRuleDescription, formatRuleExpression, hasRuleMark } from './marks.ts'
import type { SetupStep, StepOptions } from './setup-step.ts'
import type { Survey } from './survey.ts'

/** Depends on `edgeCache` in the config. */
export function toRuleStep(found: Survey, options: StepOptions): SetupStep {
  return found.mayEdgeCache ? toAbsentRule(found, options) : toPresentRule(found, options)
}

function toPresentRule({ ruleset, hostname, zone, made }: Survey, { api, progress }: StepOptions): SetupStep {
  const own = findOwnRule(ruleset, hostname, made?.rule)
  const what = `no edge cache for ${hostname}`
  const remember = (rulesetId: string, id: string, isMade: boolean) => {
    const isRulesetMade = ruleset === undefined || progress.record.rule?.isRulesetMade === true
    progress.record.rule = { id, rulesetId, isMade, isRulesetMade }
    return progress.save()
  }
  /** Finds the created or changed rule in the reply. */
  const rememberFrom = (answer: CacheRuleset, id: string | undefined) => {
    const expression = formatRuleExpression(hostname)
    const made = answer.rules.findLast((rule) =>
      id === undefined ? rule.expression === expression && hasRuleMark(rule.description) : rule.id === id,
    )
    if (made === undefined) throw new Error('the reply does not contain the created rule')
    return remember(answer.id, made.id, true)
  }
  if (ruleset === undefined || own === undefined) {
    return {
      part: 'rule',
      verb: 'create',
      what:
        ruleset === undefined
          ? `${what}, the first cache rule of ${zone.name}`
          : `${what}, after ${ruleset.rules.length} existing rules`,
      drift: `there is no cache rule for ${hostname}; only the headers of the replies prevent caching`,
      run: async () => rememberFrom(await api.createCacheRule(zone.id, ruleset?.id, hostname), undefined),
    }
  }
  const drift = describeDrift(own, hostname)
  if (drift === undefined) {
    if (made?.rule?.id === own.id) return { part: 'rule', verb: 'keep', what }
    const isMade = hasRuleMark(own.description)
    const origin = isMade
      ? 'created by an earlier run'
      : `not created by Burrow ("${printable(own.description, 80)}"); teardown will keep it`
    return {
      part: 'rule',
      verb: 'adopt',
      what: `${what}, ${origin}`,
      run: () => remember(ruleset.id, own.id, isMade),
    }
  }
  return {
    part: 'rule',
    verb: 'change',
    what: `${what} (${drift})`,
    drift,
    run: async () => rememberFrom(await api.changeCacheRule(zone.id, ruleset.id, own.id, hostname), own.id),
  }
}

function toAbsentRule({ ruleset, hostname, zone, made }: Survey, { api, progress }: StepOptions): SetupStep {
  const allowed = '"edgeCache" in the config is "allow"'
  const own = findOwnRule(ruleset, hostname, made?.rule)
  if (ruleset === undefined || own === undefined) return { part: 'rule', verb: 'keep', what: `none, since ${allowed}` }
  const drift = `a cache rule prevents caching of ${hostname}, although ${allowed}`
  if (!hasRuleMark(own.description) && !(made?.rule?.isMade === true && made.rule.id === own.id)) {
    const remedy = 'remove that rule (Caching > Cache Rules), or set "edgeCache": "deny"'
    return {
      part: 'rule',
      verb: 'leave',
      what: `"${printable(own.description, 80)}", not created by Burrow, although ${allowed}`,
      drift,
      remedy,
    }
  }
  return {
    part: 'rule',
    verb: 'delete',
    what: `no edge cache for ${hostname}, since ${allowed}`,
    drift,
    async run() {
      await api.deleteCacheRule(zone.id, ruleset.id, own.id)
      const { rule } = progress.record
      if (rule?.isRulesetMade === true && rule.rulesetId === ruleset.id && ruleset.rules.length === 1)
        await api.deleteCacheRuleset(zone.id, ruleset.id)
      delete progress.record.rule
      await progress.save()
    },
  }
}

/** Ours by id or by description; otherwise a rule of the user that does the same. */
function findOwnRule(
  ruleset: CacheRuleset | undefined,
  hostname: string,
  made: { id: string; isMade: boolean } | undefined,
): CacheRule | undefined {
  const rules = ruleset?.rules ?? []
  return (
    rules.find(({ id }) => made?.isMade === true && id === made.id) ??
    rules.find(({ description }) => description === formatRuleDescription(hostname)) ??
    rules.find((rule) => rule.expression === formatRuleExpression(hostname) && rule.isBypass && rule.isEnabled)
  )
}

function describeDrift({ isEnabled, isBypass, expression }: CacheRule, hostname: string): string | undefined {
  if (!isEnabled) return 'the cache rule is disabled'
  if (!isBypass) return 'the cache rule does something else'
  if (expression !== formatRuleExpression(hostname)) return `the cache rule is for ${printable(expression, 120)}`
  return undefined
}

/**
 * Of two rules that match, the later one wins. What an expression matches is the edge's to say: those that plainly name
 * other hosts are left out.
 */
export function listRuleNotes({ ruleset, hostname, made, mayEdgeCache }: Survey): string[] {
  if (mayEdgeCache) {
    const why =
      'Without a cache rule for this host, the edge does not cache ".nar" and ".narinfo", even if the headers allow it'
    return [
      `${why}. To cache them, create a rule (Caching > Cache Rules, "Eligible for cache"); read Cloudflare's terms about large files first`,
    ]
  }
  const own = findOwnRule(ruleset, hostname, made?.rule)
  const rules = ruleset?.rules ?? []
  const later = own === undefined ? [] : rules.slice(rules.indexOf(own) + 1)
  return later
    .filter(
      ({ isEnabled, isCaching, expression }) =>
        isEnabled && isCaching && (expression.includes(hostname) || !expression.includes('http.host eq "')),
    )
    .map(({ description, expression }) => {
      const name = `"${printable(description, 80)}" (${printable(expression, 120)})`
      return `The cache rule ${name} comes after Burrow's and enables caching; if both match, it wins. Move Burrow's rule to the end (Caching > Cache Rules)`
    })
}
