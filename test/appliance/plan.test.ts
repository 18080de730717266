import { describe, expect, test } from '@jest/globals'

import { Complaint } from '../../appliance/complaint.ts'
import { formatPlan, requireNoRefusal, runPlan, type Step } from '../../appliance/plan/plan.ts'

const noted: string[] = []
const step = (verb: Step['verb'], what: string, run?: Step['run']): Step => ({ verb, what, ...(run && { run }) })
const done = (what: string) => step('write', what, async () => void noted.push(what))

describe('a plan', () => {
  test('formatPlan prints verb, part and what in columns', () => {
    expect(formatPlan([step('keep', '/etc'), { verb: 'create', part: 'tunnel', what: '"home"' }])).toBe(
      '  keep     /etc\n  create   tunnel   "home"\n',
    )
  })

  test('runPlan runs the steps in order and announces each one, also those that change nothing', async () => {
    noted.length = 0
    await runPlan([step('keep', 'a'), done('b'), done('c')], ({ what }) => noted.push(`start ${what}`))
    expect(noted).toEqual(['start a', 'start b', 'b', 'start c', 'c'])
  })

  test('runPlan ends with the first failure, and says what was done and what was not', async () => {
    noted.length = 0
    const fail = async () => {
      throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    }
    const steps = [step('keep', 'a'), done('b'), step('write', 'c', fail), done('d')]
    const error: Complaint = await runPlan(steps, () => {}).then(
      () => new Complaint('refused', 'it did not fail'),
      (thrown) => thrown,
    )
    expect([error.code, error.message]).toEqual([
      'refused',
      expect.stringMatching(/^Cannot write c: .*\nDone: write b\. Not done: write c, write d\. Run the same command/),
    ])
    expect(noted).toEqual(['b'])
  })

  test('runPlan keeps the code of a complaint, and lets a bug pass', async () => {
    const complain = () => Promise.reject(new Complaint('state', 'Cannot use it'))
    await expect(runPlan([step('write', 'a', complain)], () => {})).rejects.toMatchObject({ code: 'state' })
    const bug = new TypeError('x is not a function')
    await expect(runPlan([step('write', 'a', () => Promise.reject(bug))], () => {})).rejects.toBe(bug)
  })

  test('requireNoRefusal names each reason', () => {
    expect(() => requireNoRefusal([step('keep', 'a')], 'set this up')).not.toThrow()
    expect(() => requireNoRefusal([step('refuse', 'a is taken'), step('refuse', 'b too')], 'set this up')).toThrow(
      'Cannot set this up: a is taken; b too. Nothing was changed',
    )
  })
})
