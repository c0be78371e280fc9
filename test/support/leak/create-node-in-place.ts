import { readFileSync } from 'node:fs'
import { createNode as realCreateNode } from '../../../node/create-node.ts'
import { plant } from './plants.ts'
import type { Plant } from './plants.ts'

/** Stands in for `create-node.ts` in a node that can be told to leak, see `preload.ts`: on SIGUSR2, what a file says. */
export const createNode: typeof realCreateNode = async init => {
  const node = await realCreateNode(init)
  process.on('SIGUSR2', () => {
    const order = JSON.parse(readFileSync(process.env['GGEN_TEST_PLANT'] ?? '', 'utf8')) as Plant
    plant(node.parts, order).catch((error: unknown) => {
      process.stderr.write(`the leak ${order.plant} could not be planted: ${String(error)}\n`)
    })
  })
  return node
}
