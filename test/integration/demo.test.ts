import { cp, mkdir, readdir, readFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describeWithShared } from '../support/shared.ts'
import { containing, matching, some } from '../support/like.ts'
import { packageFolder } from '../support/package-folder.ts'
import { runCli } from '../support/spawn-cli.ts'
import type { CliResult } from '../support/spawn-cli.ts'
import { tempDir } from '../support/temp-dir.ts'

const SLOW = 120_000

interface DemoJson {
  readonly ok: boolean
  readonly nodes: number
  readonly published: number
  readonly installed: readonly Record<string, unknown>[]
  readonly gossipMs: number
}

/** Runs the demo with a temporary folder of its own, so that what it leaves behind is seen. */
async function demo(...args: readonly string[]): Promise<{ result: CliResult; tmp: string }> {
  const tmp = await tempDir('demo-tmp')
  const result = await runCli(['demo', ...args], { env: { TMPDIR: tmp }, timeoutMs: SLOW })
  return { result, tmp }
}

function jsonOf({ stdout }: CliResult): DemoJson {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as DemoJson
}

/** Command lines of processes that name a folder. */
async function processesIn(folder: string): Promise<readonly string[]> {
  if (!existsSync('/proc/self/cmdline')) return []
  const pids = (await readdir('/proc')).filter(name => /^[0-9]+$/.test(name))
  const lines = await Promise.all(pids.map(pid => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter(line => line.includes(folder))
}

describe('the demo', () => {
  test(
    'ends with one JSON object: three nodes, everything installed from the second one alone',
    async () => {
      const { result, tmp } = await demo('--json')
      expect(result).toMatchObject({ code: 0, stderr: '' })
      const said = jsonOf(result)
      expect(Object.keys(said).toSorted()).toEqual(['gossipMs', 'installed', 'nodes', 'ok', 'published'])
      expect(said).toMatchObject({ ok: true, nodes: 3, published: 11, gossipMs: some(Number) })
      expect(said.installed.length).toBeGreaterThan(1)
      const [{ from: second } = { from: undefined }] = said.installed
      for (const entry of said.installed) {
        expect(entry).toEqual({
          name: matching(/^[a-z0-9-]+$/),
          version: matching(/^\d+\.\d+\.\d+$/),
          cid: matching(/^bafybei[a-z2-7]{52}$/),
          from: second,
          bytes: some(Number),
          ms: some(Number)
        })
        expect(entry['bytes']).toBeGreaterThan(0)
      }
      expect(second).toEqual([matching(/^12D3KooW/)])
      expect(await readdir(tmp)).toEqual([])
      expect(await processesIn(tmp)).toEqual([])
    },
    SLOW
  )

  test(
    'tells a person on one screen what happened and how to look around, with commands that work',
    async () => {
      const folder = await tempDir('packages')
      await packageFolder({ name: 'base' }, folder)
      await packageFolder({ name: 'on-top', dependencies: { base: '^1.0.0' } }, folder)
      await mkdir(join(folder, 'no-package'))
      const { result, tmp } = await demo('--from', folder)
      expect(result).toMatchObject({ code: 0, stderr: '' })
      const lines = result.stdout.trimEnd().split('\n')
      expect(lines.length).toBeLessThanOrEqual(40)
      expect(result.stdout).toContain('1 refused: no-package (NO_MANIFEST)')
      const end = lines.slice(lines.findIndex(line => line.startsWith('Done: ')))
      for (const command of ['search', 'show', 'peers'])
        expect(end.join('\n')).toMatch(new RegExp(`ggen-node .* ${command}`))
      expect(await processesIn(tmp)).toEqual([])
      const shown =
        end
          .find(line => / show /.test(line))
          ?.trim()
          .split(/\s+/)
          .slice(2) ?? []
      expect(await runCli(shown)).toMatchObject({ code: 0, stdout: containing('Package') })
    },
    SLOW
  )

  test(
    'a folder without packages ends it with the reason and leaves nothing',
    async () => {
      const { result, tmp } = await demo('--json', '--from', await tempDir('nothing'))
      expect(result.code).toBe(5)
      expect(JSON.parse(result.stdout)).toMatchObject({ ok: false, error: { code: 'NO_MANIFEST' } })
      expect(await readdir(tmp)).toEqual([])
      expect(await processesIn(tmp)).toEqual([])
    },
    SLOW
  )
})

describeWithShared('data/ggen-marketplace/packages', 'the demo with real packages', marketplace => {
  test(
    'publishes what it can and installs one',
    async () => {
      const folder = await tempDir('marketplace')
      for (const name of (await readdir(marketplace)).toSorted().slice(0, 8)) {
        await cp(join(marketplace, name), join(folder, name), { recursive: true })
      }
      const { result } = await demo('--json', '--from', folder)
      expect(result).toMatchObject({ code: 0, stderr: '' })
      const said = jsonOf(result)
      expect(said).toMatchObject({ ok: true, nodes: 3 })
      expect(said.published).toBeGreaterThan(0)
      expect(said.installed.length).toBeGreaterThan(0)
    },
    SLOW
  )
})
