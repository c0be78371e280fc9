import { systemClock } from '../../../node/runtime/clock.ts'
import { workerEngine } from '../../../node/documents/worker-engine.ts'
import { updateRequest } from './requests.ts'

/** Makes a document and closes nothing: the process ends by itself, or the worker keeps it alive. */
const clock = systemClock(error => {
  throw error
})
const engine = workerEngine({ file: new URL('./stand-in-worker.ts', import.meta.url) })({ clock })
const { kind } = await engine.update(updateRequest('answer'))
process.stdout.write(`${kind} ${engine.stats().running}\n`)
