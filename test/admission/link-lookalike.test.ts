import { expect, test } from 'vitest'
import { concatBytes } from '../../protocol/bytes.ts'
import { encodeCbor } from '../../protocol/cbor.ts'
import { FactWriter, make, person } from '../support/facts.ts'
import { openGate } from '../support/gate.ts'

test('a release whose root is a map that has what a link has is malformed, and holds up nothing that comes with it', async () => {
  const [root, eve] = [person('root'), person('eve')]
  const writer = new FactWriter(root)
  const grant = writer.grant(eve.did, 'publisher')
  const claim = writer.claim('alpha')
  const { body } = writer.release('alpha', '1.0.0', writer.cite(claim, grant.id), { by: eve })
  const opened = await openGate(writer.registry)
  const source = { peer: 'stranger', registry: writer.registry }
  await opened.gate.admitMany([writer.genesis.bytes, grant.bytes], source)
  // The link of its root: tag 42 of 37 bytes, in dag-pb or raw.
  const at =
    [0x55, 0x70].map(codec => indexOf(body.payload, [0xd8, 0x2a, 0x58, 0x25, 0, 1, codec])).find(i => i >= 0) ?? 0
  const same = { '/': '0123', bytes: '0123', version: 1, code: body.payload[at + 6] ?? 0 }
  const fake = encodeCbor({ ...same, multihash: { code: 0x12, size: 32 } })
  const payload = concatBytes([body.payload.subarray(0, at), fake, body.payload.subarray(at + 41)])
  const bad = make({ ...body, payload }, eve)
  const verdicts = await opened.gate.admitMany([bad.bytes, claim.bytes], source)
  expect(verdicts.map(({ verdict }) => verdict)).toEqual(['reject', 'accept'])
  expect(await opened.ids()).toEqual(expect.arrayContaining([claim.id]))
  expect(await opened.ids()).not.toContain(bad.id)
})

function indexOf(bytes: Uint8Array, part: readonly number[]): number {
  return bytes.findIndex((_, i) => part.every((byte, k) => bytes[i + k] === byte))
}
