import { readdir, readFile, readlink } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename } from 'node:path'
import { LIMITS } from '../protocol/limits.ts'

/** Whether a TCP listener could sit at an address now: `free`, or the error code of the try. */
export async function tryPort({ host, port }: { readonly host: string; readonly port: number }): Promise<string> {
  const server = createServer()
  try {
    return await new Promise(resolve => {
      const timer = setTimeout(() => resolve('ETIMEDOUT'), LIMITS.doctor.portMs)
      const done = (code: string): void => {
        clearTimeout(timer)
        resolve(code)
      }
      server.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? 'unknown'))
      server.listen({ host, port, exclusive: true }, () => done('free'))
    })
  } finally {
    server.close()
  }
}

/** The process that listens on a port, where the system says: Linux, and processes of the same user. */
export async function holderOfPort(port: number): Promise<{ readonly pid: number; readonly name: string } | undefined> {
  try {
    const inodes = await listeningInodes(port)
    if (inodes.size === 0) return undefined
    const pids = (await readdir('/proc')).filter(name => /^[0-9]+$/.test(name)).slice(0, LIMITS.doctor.processes)
    for (const pid of pids) {
      if (!(await holdsAny(pid, inodes))) continue
      const [program = ''] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')
      return { pid: Number(pid), name: basename(program) }
    }
  } catch {
    // Another system, or a process that ended while it was looked at.
  }
  return undefined
}

/** proc(5), net/tcp: local address and port in hex, state 0A for listening, the socket's inode in the tenth column. */
async function listeningInodes(port: number): Promise<ReadonlySet<string>> {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  const inodes = new Set<string>()
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(file, 'latin1').catch(() => '')
    for (const line of text.split('\n')) {
      const columns = line.trim().split(/\s+/)
      if (columns[1]?.endsWith(`:${wanted}`) === true && columns[3] === '0A') inodes.add(columns[9] ?? '')
    }
  }
  return inodes
}

async function holdsAny(pid: string, inodes: ReadonlySet<string>): Promise<boolean> {
  const folder = `/proc/${pid}/fd`
  for (const fd of await readdir(folder).catch(() => [])) {
    const target = await readlink(`${folder}/${fd}`).catch(() => '')
    if (inodes.has(/^socket:\[([0-9]+)\]$/.exec(target)?.[1] ?? 'none')) return true
  }
  return false
}
