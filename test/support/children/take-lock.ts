import { isRegistryError } from '../../../protocol/errors.ts'
import { takeHomeLock } from '../../../storage/home-lock.ts'

/** Waits for a line, tries to take the lock of a folder, says what came of it, and holds it until it is killed. */
const dir = process.argv[2] ?? ''
process.stdout.write('ready\n')
process.stdin.once('data', () => {
  takeHomeLock(dir).then(
    () => process.stdout.write('taken\n'),
    (error: unknown) => process.stdout.write(`${isRegistryError(error) ? error.code : String(error)}\n`)
  )
})
