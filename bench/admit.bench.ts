import { createPublicKey, verify } from 'node:crypto'
import { join } from 'node:path'
import { publicKeyOf } from '../protocol/did.ts'
import { parseEnvelope, signedBytes } from '../protocol/fact.ts'
import { admitAll, makeCorpus, openGate } from './corpus.ts'
import { above, MIN_RUNS, medianMs, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const PACKAGES = 2_500

/** How fast a node takes in what others say. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('admit/rate')) yield await rate(workbench)
}

/** Facts through the gate onto level, per second on one thread; the reference is OpenSSL checking the signatures alone. */
async function rate(workbench: Workbench): Promise<Figure> {
  const corpus = makeCorpus(PACKAGES)
  const { facts, registry } = corpus
  const folder = await workbench.tempDir()
  let run = 0
  const admitMs = await medianMs(MIN_RUNS, async () => {
    const { gate, close } = await openGate(join(folder, String(run++)), registry)
    await admitAll(gate, corpus)
    await close()
  })
  const signatures = facts.map(bytes => {
    const { body, bodyBytes, signature } = parseEnvelope(bytes)
    return { author: body.author, message: signedBytes(body.type, bodyBytes), signature }
  })
  const [first] = signatures
  if (first === undefined) throw new Error('a corpus has facts')
  const prefix = Buffer.from('302a300506032b6570032100', 'hex')
  const der = Buffer.concat([prefix, publicKeyOf(first.author)])
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
  const verifyMs = await medianMs(MIN_RUNS, async () => {
    for (const { message, signature } of signatures) {
      if (!verify(null, message, key, signature)) throw new Error('a signature of the corpus does not hold')
    }
  })
  const value = (facts.length / admitMs) * 1000
  const reference = (facts.length / verifyMs) * 1000
  return above({ bench: 'admit/rate', value, unit: 'facts/s', reference }, 2_500)
}
