import { execFile } from 'node:child_process'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { verifyProject } from '../../node/installed.ts'
import { containing } from '../support/like.ts'
import { describeWithMounts, unmountAfter } from '../support/mounts.ts'
import { projectNode, refusal } from '../support/project.ts'
import type { ProjectNode } from '../support/project.ts'
import { tempDir } from '../support/temp-dir.ts'

const run = promisify(execFile)

describeWithMounts('a project on a disk of its own', () => {
  let on: ProjectNode
  let disk: string

  beforeAll(async () => {
    on = await projectNode()
    disk = await tempDir('disk')
    await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'ggen-test', disk])
  }, 30_000)
  afterAll(async () => {
    await unmountAfter(disk, () => on.node.stop())
  })

  test('a target on another file system than the store works, and so does replacing there', async () => {
    const project = join(disk, 'project')
    expect((await stat(disk)).dev).not.toBe((await stat(await tempDir('home'))).dev)
    await on.install(project, ['base@=1.0.0'])
    await on.install(project, ['base@=1.1.0', 'lib'])
    expect(await verifyProject(project, new AbortController().signal)).toMatchObject({ clean: true })
    expect(await on.install(project)).toMatchObject({ upToDate: true })
  })

  test('a package folder that is a disk of its own is refused, and left as it is', async () => {
    const project = join(disk, 'mounted')
    const folder = join(project, '.ggen', 'packages', 'base')
    await mkdir(folder, { recursive: true })
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'ggen-test', folder])
    try {
      expect(await refusal(on.install(project, ['base'], { force: true }))).toMatchObject({ code: 'PROJECT_READ_ONLY' })
    } finally {
      await run('umount', [folder])
    }
  })

  test('a disk that was mounted read-only is named, and what is there is still found to be right', async () => {
    const project = join(disk, 'frozen')
    await on.install(project, ['lib'])
    await run('mount', ['-o', 'remount,ro', disk])
    try {
      expect(await on.install(project)).toMatchObject({ upToDate: true })
      const error = await refusal(on.install(project, ['single']))
      expect(error).toMatchObject({ code: 'PROJECT_READ_ONLY', message: containing('read-only file system') })
    } finally {
      await run('mount', ['-o', 'remount,rw', disk])
    }
  })

  test('a disk that is too small keeps what it had', async () => {
    await on.publish({ name: 'large', files: { 'data.bin': new Uint8Array(20 * 1024 * 1024) } })
    const project = join(disk, 'small')
    await on.install(project, ['base'])
    expect(await refusal(on.install(project, ['large']))).toMatchObject({ code: 'DISK_FULL' })
    expect(await verifyProject(project, new AbortController().signal)).toMatchObject({ clean: true })
    expect(await on.install(project)).toMatchObject({ installed: [{ id: 'base' }] })
  })
})
