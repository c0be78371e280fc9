import { exactIn, fieldOf, maybeListIn, maybeObjectIn, objectsIn, oneOf, some, wrong } from './predicate-fields.ts'
import { isJsonObject } from './strict-json.ts'
import type { JsonObject } from './strict-json.ts'
import type { SbomSummary } from './summary.ts'

/** CycloneDX 1.4 to 1.6 in JSON (ECMA-424): what is in it, and under which licences. */
export function summariseCycloneDx(bom: JsonObject): SbomSummary {
  oneOf(bom, 'bomFormat', ['CycloneDX'])
  const version = oneOf(bom, 'specVersion', ['1.4', '1.5', '1.6'])
  const components = objectsIn(bom, 'components')
  const metadata = maybeObjectIn(bom, 'metadata')
  const itself = metadata === undefined ? undefined : maybeObjectIn(metadata, 'component')
  const all = itself === undefined ? components : [itself, ...components]
  return {
    type: 'sbom',
    format: 'cyclonedx',
    version,
    components: components.length,
    licences: some([...new Set(all.flatMap(cycloneDxLicences))])
  }
}

/** `licenses` holds expressions, or licences by their id or name. */
function cycloneDxLicences(component: JsonObject): readonly string[] {
  return objectsIn(component, 'licenses').flatMap(choice => {
    const expression = fieldOf(choice, 'expression')
    const licence = maybeObjectIn(choice, 'license')
    const said =
      expression ?? (licence === undefined ? undefined : (fieldOf(licence, 'id') ?? fieldOf(licence, 'name')))
    return typeof said === 'string' && said !== '' && said.length <= 256 ? [said] : []
  })
}

/** SPDX 2.2 or 2.3 in JSON. */
export function summariseSpdx(document: JsonObject): SbomSummary {
  const version = oneOf(document, 'spdxVersion', ['SPDX-2.2', 'SPDX-2.3'])
  exactIn(document, 'SPDXID')
  const packages = objectsIn(document, 'packages')
  const relationships = maybeListIn(document, 'relationships').filter(isJsonObject)
  const described = new Set([
    ...maybeListIn(document, 'documentDescribes'),
    ...relationships
      .filter(one => fieldOf(one, 'relationshipType') === 'DESCRIBES')
      .map(one => fieldOf(one, 'relatedSpdxElement'))
  ])
  if (packages.some(one => typeof fieldOf(one, 'SPDXID') !== 'string'))
    throw wrong('packages', 'a list with an SPDXID each')
  return {
    type: 'sbom',
    format: 'spdx',
    version: version.slice('SPDX-'.length),
    components: packages.filter(one => !described.has(fieldOf(one, 'SPDXID'))).length,
    licences: some([...new Set(packages.flatMap(spdxLicences))])
  }
}

const NOTHING_SAID = ['NOASSERTION', 'NONE', '']

function spdxLicences(one: JsonObject): readonly string[] {
  const said = [fieldOf(one, 'licenseConcluded'), fieldOf(one, 'licenseDeclared')]
  const first = said.find(text => typeof text === 'string' && !NOTHING_SAID.includes(text) && text.length <= 256)
  return typeof first === 'string' ? [first] : []
}
