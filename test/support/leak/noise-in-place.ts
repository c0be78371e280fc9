import type { noise as realNoise } from '@libp2p/noise'
import { recordingNoise } from './recording-noise.ts'
import { openRecording } from './recording.ts'

const path = process.env['GGEN_TEST_RECORDING'] ?? ''

/** Stands in for `@libp2p/noise` in a node that is a witness, see `preload.ts`. */
export const noise: typeof realNoise = (...args) => recordingNoise(openRecording(path), ...args)
