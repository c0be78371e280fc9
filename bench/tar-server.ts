import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

// The plain road: a web server in a process of its own that serves one file.
const bytes = await readFile(process.argv[2] ?? '')
const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-length': bytes.length })
  response.end(bytes)
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
