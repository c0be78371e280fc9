import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { runCli, startCli } from './spawn-cli.ts'

test('runs the sources with a home of their own', async () => {
  const result = await runCli(['version', '--json'])
  expect(result).toMatchObject({ code: 0, signal: null, stderr: '' })
  expect(JSON.parse(result.stdout)).toHaveProperty('version')
})

test('a failing exit code is a result', async () => {
  const result = await runCli(['no-such-command'])
  expect(result.code).toBe(2)
  expect(result.stderr).not.toBe('')
})

test('waits for a line of output', async () => {
  const cli = await startCli(['--help'])
  expect(await cli.line(/^Usage: /)).toContain('ggen-node')
  expect((await cli.exited).code).toBe(0)
  await expect(cli.line(/never printed/)).rejects.toThrow('ended without a line')
  expect(existsSync(cli.home)).toBe(true)
})
