import { writeKey } from '../../../storage/key-files.ts'

/** Writes keys whose bytes tell their number, naming each once it is durable, until it is killed. */
const dir = process.argv[2] ?? ''
for (let i = 0; i < 200; i++) {
  await writeKey(dir, `key-${i}`, new Uint8Array(32).fill(i))
  process.stdout.write(`${i}\n`)
}
