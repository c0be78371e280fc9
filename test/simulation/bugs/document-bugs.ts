import { AutomergeDocument } from '../../../node/documents/automerge.ts'
import { inlineEngine } from '../../../node/documents/inline.ts'
import { newBuild } from '../../../protocol/document/build.ts'
import type { DocumentEngine, MetadataFact, UpdateRequest, UpdateResult } from '../../../protocol/document/document.ts'
import { sealState, sealStored } from '../../../protocol/document/saved.ts'
import { REAL_PARTS } from '../real-parts.ts'
import type { HomeMemory, Parts } from '../parts.ts'
import { replaced } from './gate-bugs.ts'

/** An engine that makes each document anew, of all its facts, in a way of its own. */
function makingAs(
  name: string,
  make: (request: UpdateRequest, home: HomeMemory) => UpdateResult | UpdateRequest
): Parts {
  return {
    ...REAL_PARTS,
    name,
    createEngine: home => {
      const engine = inlineEngine()
      const update: DocumentEngine['update'] = async request => {
        if (request.from !== undefined) return { kind: 'anew' }
        const made = make(request, home)
        return 'kind' in made ? made : engine.update(made)
      }
      return replaced(engine, { update })
    }
  }
}

/** Edits are added as they come, whatever they follow. */
export const editsByArrival = makingAs('re-applies edits in the order of arrival', ({ key, made, facts }, { kept }) => {
  const before = (kept.get(`edits ${key}`) ?? []) as readonly string[]
  const byId = new Map<string, MetadataFact>(facts.map(fact => [fact.id, fact]))
  const order = [...before.filter(id => byId.has(id)), ...[...byId.keys()].filter(id => !before.includes(id))]
  kept.set(`edits ${key}`, order)
  const document = new AutomergeDocument()
  try {
    const build = newBuild(document)
    for (const id of order) {
      const fact = byId.get(id)
      if (fact !== undefined) build.add(fact)
    }
    const saved = sealStored({ made, build: build.record(), bytes: document.save() })
    const standings = [...build.entries.values()].map(({ id, status, counts }) => [id, { status, counts }] as const)
    const state = { made, ...build.state() }
    return { kind: 'updated', state, sealed: sealState(state), saved, standings }
  } finally {
    document.free()
  }
})

/** What was said once stays, though a revocation has taken it out of the set. */
export const keepsCutWords = makingAs('keeps the words of what left the set', (request, { kept }) => {
  const before = (kept.get(`words ${request.key}`) ?? []) as readonly MetadataFact[]
  const here = new Set(request.facts.map(({ id }) => id))
  const facts = [...request.facts, ...before.filter(({ id }) => !here.has(id))]
  kept.set(`words ${request.key}`, facts)
  return { ...request, facts }
})

/** Only what can be applied as it was signed is applied. */
export const dropsDerived: Parts = {
  ...REAL_PARTS,
  name: 'drops edits that have to be re-applied',
  createEngine: () => {
    const engine = inlineEngine()
    const update: DocumentEngine['update'] = async request => {
      if (request.from !== undefined) return { kind: 'anew' }
      const result = await engine.update(request)
      if (result.kind !== 'updated') return result
      const derived = new Set(result.standings.filter(([, { status }]) => status === 'derived').map(([id]) => id))
      const facts = request.facts.filter(({ id }) => !derived.has(id))
      return derived.size === 0 ? result : engine.update({ ...request, facts })
    }
    return replaced(engine, { update })
  }
}

/** What a crash left to be done is not looked for. */
export const forgetsNotes: Parts = {
  ...REAL_PARTS,
  name: 'forgets over a crash which documents wait',
  openStore: async (kv, registry, home) => {
    const store = await REAL_PARTS.openStore(kv, registry, home)
    return replaced(store, { commit: (batch, options) => store.commit({ ...batch, documents: [] }, options) })
  }
}

/** A note is taken back with whatever document was made, also where facts came meanwhile. */
export const takesNotesBack: Parts = {
  ...REAL_PARTS,
  name: 'takes a note back that is of later facts',
  openDocuments: (kv, store, home) => {
    const records = REAL_PARTS.openDocuments(kv, store, home)
    return replaced(records, {
      put: async (registry, { subject }, document) =>
        records.put(registry, { subject, since: await records.since(registry, subject) }, document)
    })
  }
}
