import { edit, rollOver } from '../../node/services/documents/editor.ts'
import type { Edit } from '../../protocol/document/edits.ts'
import type { Subject } from '../../protocol/fact.ts'
import type { Rng } from './rng.ts'
import type { SimNode, World } from './sim-node.ts'

/** Few words, so that people often speak of the same thing at the same time. */
const WORDS = ['web', 'fast', 'small'] as const

type Draw = (rng: Rng) => readonly [path: string, value: string | true]

const PACKAGE: readonly Draw[] = [
  rng => ['title', `title ${rng.int(4)}`],
  rng => ['title', `title ${rng.int(4)}`],
  rng => ['description', `it says ${rng.int(1_000)}`],
  rng => [`keywords/${rng.pick(WORDS) ?? ''}`, true],
  rng => [`categories/${rng.pick(WORDS) ?? ''}`, true],
  rng => ['links/homepage', `https://example.org/${rng.int(3)}`],
  rng => [`tags/${rng.pick(WORDS) ?? ''}`, `1.${rng.int(3)}.${rng.int(4)}`],
  rng => [`deprecated/<1.${rng.int(3)}.0`, 'use another one']
]

const CATALOGUE: readonly Draw[] = [
  rng => [`categories/${rng.pick(WORDS) ?? ''}`, `about ${rng.int(3)}`],
  rng => [`bundles/${rng.pick(WORDS) ?? ''}`, `bundle ${rng.int(3)}`],
  rng => [`members/${rng.pick(WORDS) ?? ''}/ggen/p${rng.int(3)}`, `^1.${rng.int(3)}.0`],
  rng => [`announcements/${rng.pick(WORDS) ?? ''}`, `news ${rng.int(1_000)}`]
]

/** Up to three edits in one statement, each of another key. */
export function drawEdits(subject: Subject, rng: Rng): readonly Edit[] {
  const edits = new Map<string, Edit>()
  for (let count = rng.between(1, 3); count > 0; count--) {
    const [path, value] = rng.pick(subject === 'registry' ? CATALOGUE : PACKAGE)?.(rng) ?? ['', '']
    const [field = '', ...rest] = path.split('/')
    const isMember = field === 'members'
    const segments = isMember ? [field, rest[0] ?? '', rest.slice(1).join('/')] : [field, ...rest]
    edits.set(path, rng.chance(0.25) ? { op: 'delete', path: segments } : { op: 'put', path: segments, value })
  }
  return [...edits.values()]
}

/** What somebody is at, of all that is done in one run. */
interface Editing {
  readonly world: World
  readonly rng: Rng
}

/** Words about a package or the registry, on top of what the node knows. */
export async function editWords({ world, rng }: Editing, node: SimNode, subject: Subject): Promise<void> {
  if (!mayKnow(world, node)) return
  const edits = drawEdits(subject, rng)
  await node.say(`edits ${subject}`, (components, signer) =>
    edit(components, { registry: world.registry, subject, signer, plan: () => edits })
  )
}

/** An owner begins a document anew. Whoever is no owner is refused. */
export async function rollWords({ world }: Editing, node: SimNode, subject: Subject): Promise<void> {
  if (!mayKnow(world, node)) return
  await node.say(`rolls over ${subject}`, (components, signer) =>
    rollOver(components, { registry: world.registry, subject, signer })
  )
}

/** The beginning of the registry has arrived. */
function mayKnow({ registry }: World, { running }: SimNode): boolean {
  return running?.gate.state(registry)?.authority !== undefined
}
