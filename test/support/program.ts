import { join } from 'node:path'
import { inject } from 'vitest'

/** The built program, which tests start: what people run, and quicker to start than the sources. */
export const PROGRAM = join(inject('built'), 'ggen-node.js')
