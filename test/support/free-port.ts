import { createServer } from 'node:net'

/**
 * A TCP port of 127.0.0.1 that was free a moment ago. Another process may take it in between: where the code under test
 * can listen on port 0 and say what it got, do that instead.
 */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise<void>((resolve, reject) => server.close(error => (error === undefined ? resolve() : reject(error))))
  if (address === null || typeof address === 'string') throw new Error('the server had no TCP address')
  return address.port
}
