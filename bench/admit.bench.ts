import { createPublicKey, verify } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { join } from 'node:path'
import { RegistryView } from '../node/services/registry-view.ts'
import { publicKeyOf } from '../protocol/did.ts'
import type { Principal } from '../protocol/did.ts'
import { parseEnvelope, signedBytes } from '../protocol/fact.ts'
import { makeCorpus } from './corpus.ts'
import { admitAll, openGate } from './filled-home.ts'
import type { OpenedGate } from './filled-home.ts'
import { above, MIN_RUNS, medianMs, type Figure } from './report.ts'
import type { Workbench } from './workbench.ts'

const SHAPE = { packages: 2_500, releases: 1 }

/** How fast a node takes in what others say. */
export async function* figures(workbench: Workbench): AsyncGenerator<Figure, void, void> {
  if (workbench.wants('admit/rate')) yield await rate(workbench)
}

/**
 * Facts of a registry with 35 keys in several roles through the gate onto level, per second on one thread: whether each
 * of them counts is decided too. The reference is OpenSSL checking the signatures alone.
 */
async function rate(workbench: Workbench): Promise<Figure> {
  const { registry, facts } = makeCorpus(SHAPE)
  const all = [...facts()]
  const folder = await workbench.tempDir()
  let run = 0
  const admitMs = await medianMs(MIN_RUNS, async () => {
    const opened = await openGate(join(folder, String(run++)), registry)
    await admitAll(opened.gate, registry, all)
    if (run === 1) await assertCounted(opened, registry)
    await opened.close()
  })
  const keys = new Map<Principal, KeyObject>()
  const signatures = all.map(bytes => {
    const { body, bodyBytes, signature } = parseEnvelope(bytes)
    const key = keys.get(body.author) ?? publicKey(body.author)
    keys.set(body.author, key)
    return { key, message: signedBytes(body.type, bodyBytes), signature }
  })
  const verifyMs = await medianMs(MIN_RUNS, async () => {
    for (const { key, message, signature } of signatures) {
      if (!verify(null, message, key, signature)) throw new Error('a signature of the corpus does not hold')
    }
  })
  const value = (all.length / admitMs) * 1000
  const reference = (all.length / verifyMs) * 1000
  const input = `${all.length} facts of ${SHAPE.packages} packages by ${keys.size} keys`
  return above({ bench: 'admit/rate', value, unit: 'facts/s', reference, input }, 2_500)
}

/** What is set aside costs less: it would be no measurement of what counts. */
async function assertCounted({ store }: OpenedGate, registry: OpenedGate['gate']['registries'][number]): Promise<void> {
  let releases = 0
  for await (const { versions, setAside } of new RegistryView(store).packages(registry)) {
    const [first] = setAside
    if (first !== undefined) throw new Error(`a fact of the corpus does not count: ${first.reason}`)
    releases += versions.length
  }
  if (releases !== SHAPE.packages * SHAPE.releases) throw new Error(`only ${releases} releases count`)
}

function publicKey(author: Principal): KeyObject {
  const prefix = Buffer.from('302a300506032b6570032100', 'hex')
  return createPublicKey({ key: Buffer.concat([prefix, publicKeyOf(author)]), format: 'der', type: 'spki' })
}
