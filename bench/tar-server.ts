import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// The plain road: a web server in a process of its own that serves some files, `/0` the first of them, `/1` the next.
const files = await Promise.all(process.argv.slice(2).map(async path => await readFile(path)))
const server = createServer(({ url = '/' }, response) => {
  const bytes = files[Number(url.slice(1))]
  response.writeHead(bytes === undefined ? 404 : 200, { 'content-length': bytes?.length ?? 0 })
  response.end(bytes)
})
// A client that comes again after a while finds its connections open, and none that is closed at that moment.
server.keepAliveTimeout = 0
server.listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
