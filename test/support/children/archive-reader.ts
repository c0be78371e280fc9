import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { formatFrame, LENGTH_BYTES, parseLength } from '../../../protocol/foreign/frames.ts'

/** What an archive makes of the process that reads it, in the worst case. What follows the first two bytes says which. */
let held = Buffer.alloc(0)
for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
  held = Buffer.concat([held, chunk])
  if (held.length <= LENGTH_BYTES || held.length < LENGTH_BYTES + parseLength(held.subarray(0, LENGTH_BYTES))) continue
  const deed = held.toString('latin1', LENGTH_BYTES + 2)
  const say = (...frames: Parameters<typeof formatFrame>): void => void process.stdout.write(formatFrame(...frames))
  if (deed === 'no list') say({ type: 'end' })
  if (deed === 'bytes in the list') {
    say({ type: 'file', path: 'a', size: 1, executable: false })
    say({ type: 'bytes', bytes: new Uint8Array(1) })
  }
  if (deed === 'changed') {
    // Says when it has seen all of it, and goes on when it is told to.
    process.once('SIGUSR2', () => say({ type: 'listed' }))
    process.kill(process.ppid, 'SIGUSR2')
    for await (const _ of process.stdin);
    say({ type: 'end' })
    break
  }
  if (deed !== 'noise') say({ type: 'listed' })
  if (deed === 'listed twice') say({ type: 'listed' })
  if (deed === 'rights') {
    const may = (name: string, attempt: () => unknown): void => {
      try {
        attempt()
        say({ type: 'directory', path: name })
      } catch {
        // What it should be.
      }
    }
    may('tried', () => undefined)
    may('write', () => writeFileSync('written', 'x'))
    may('read', () => readFileSync('/proc/self/status'))
    may('list', () => readdirSync('..'))
    may('start', () => execFileSync(process.execPath, ['--version']))
    may('thread', () => new Worker('', { eval: true }))
    if (Object.keys(process.env).length > 0) say({ type: 'directory', path: 'environment' })
    say({ type: 'end' })
  }
  if (deed === 'escape') say({ type: 'file', path: '../escaped', size: 1, executable: false })
  if (deed === 'long') {
    say({ type: 'file', path: 'a', size: 1, executable: false })
    say({ type: 'bytes', bytes: new Uint8Array(2) })
  }
  if (deed === 'short') {
    say({ type: 'file', path: 'a', size: 2, executable: false })
    say({ type: 'end' })
  }
  if (deed === 'file early' || deed === 'folder early') {
    say({ type: 'file', path: 'a', size: 2, executable: false })
    if (deed === 'file early') say({ type: 'file', path: 'b', size: 0, executable: false })
    else say({ type: 'directory', path: 'b' })
  }
  if (deed === 'bytes of nothing') say({ type: 'bytes', bytes: new Uint8Array(1) })
  if (deed === 'end twice') for (const type of ['end', 'end'] as const) say({ type })
  if (deed.startsWith('exit ')) process.exitCode = Number(deed.slice(5))
  if (deed === 'noise') process.stdout.write(Buffer.alloc(100, 0xff))
  if (deed === 'die') process.kill(process.pid, 'SIGKILL')
  if (deed === 'heap') for (const held: number[][] = []; ;) held.push(Array.from({ length: 1_000_000 }, () => 0.5))
  if (deed === 'hang') for (say({ type: 'directory', path: 'hangs' }); ;);
  break
}
