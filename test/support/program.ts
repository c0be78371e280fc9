import { join } from 'node:path'
import { inject } from 'vitest'
import { REPOSITORY } from './shared.ts'

/** The built program, which tests start: what people run, and quicker to start than the sources. */
export const PROGRAM = join(inject('built'), 'ggen-node.js')

/** The same from the sources, for tests that put a module of their own in the place of one of the program's. */
export const SOURCES = join(REPOSITORY, 'bin', 'ggen-node.ts')
