import { formatFrame } from '../../../protocol/foreign/frames.ts'

/** The program that reads archives, which tells at its end how much memory it took: the last frame is a folder of that name. */
process.on('exit', () => {
  process.stdout.write(formatFrame({ type: 'directory', path: String(process.resourceUsage().maxRSS) }))
})
await import('../../../node/archive/child.ts')
