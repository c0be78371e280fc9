import { dnsServer } from '../dns-server.ts'

// `zone-server NAME TEXT …`: answers TXT questions on loopback, prints where, and ends by itself after two minutes.
const server = await dnsServer()
for (const [i, name] of process.argv.slice(2).entries()) {
  if (i % 2 === 0) server.zone.set(name, [[process.argv[i + 3] ?? '']])
}
process.stdout.write(`${server.address}\n`)
const end = (): void => {
  clearTimeout(timer)
  void server.close()
}
const timer = setTimeout(end, 120_000)
process.once('SIGTERM', end)
