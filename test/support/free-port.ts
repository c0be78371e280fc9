import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below what systems take for port 0 and for outgoing connections: nobody gets one of these by chance. */
const [FIRST, END] = [10_000, 32_768]

/**
 * A TCP port of 127.0.0.1 where nothing listens. Another process may take it on purpose: where the code under test can
 * listen on port 0 and say what it got, do that instead.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, END)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer()
  return new Promise(resolve => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
