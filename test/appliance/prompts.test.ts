/** In a pipe or a service the user cannot be asked: the command must fail and name the options that replace the prompt. */
import { PassThrough } from 'node:stream'
import { expect, test } from '@jest/globals'

import { Complaint, exitCodeOf } from '../../appliance/complaint.ts'
import { confirm } from '../../appliance/terminal/prompts.ts'

test('confirm without a terminal neither reads an answer from the input nor writes a prompt', async () => {
  const stdin = new PassThrough()
  stdin.end('y\n')
  const stderr = new PassThrough()
  const error = await confirm({ stdin, stderr }, 'Delete the keys?').catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(Complaint)
  expect((error as Complaint).message).toMatch(/standard input is not a terminal.*--dry-run.*--yes/)
  expect(exitCodeOf(error as Complaint)).toBe(2)
  expect(stderr.readableLength).toBe(0)
  expect(stdin.readableLength).toBe(2)
})
