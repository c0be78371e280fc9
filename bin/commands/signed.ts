import { resolve } from 'node:path'
import { RegistryError } from '../../protocol/errors.ts'
import type { Authored } from '../../node/services/authority/methods.ts'
import type { Awaiting } from '../../node/services/authority/awaiting.ts'
import type { NamedKey } from '../../node/services/publisher/named-key.ts'
import { countOf, safe } from './print.ts'
import { keyText } from './publisher-text.ts'
import { textOption } from './run.ts'
import type { Options } from './run.ts'
import { gutter, under } from './style.ts'

/** The options of every command that signs, as the call takes them. */
export function signingParams(options: Options): { key?: string; out?: string } {
  const out = textOption(options, 'out')
  return { ...textParam(options, 'key'), ...(out === undefined ? {} : { out: resolve(out) }) }
}

export function aboutParams(options: Options): { key?: string; out?: string; registry?: string; package?: string } {
  return { ...signingParams(options), ...textParam(options, 'registry'), ...textParam(options, 'package') }
}

/** An option under its own name, when it was given. */
export function textParam<K extends string>(options: Options, name: K): { readonly [P in K]?: string } {
  const value = textOption(options, name)
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]?: string })
}

/** @throws RegistryError USAGE */
export function countParam<K extends string>(options: Options, name: K): { readonly [P in K]?: number } {
  const value = textOption(options, name)
  if (value === undefined) return {}
  if (!/^[1-9][0-9]{0,3}$/.test(value)) throw new RegistryError('USAGE', `--${name} takes a whole number from 1`)
  return { [name]: Number(value) } as { readonly [P in K]?: number }
}

/** What was signed, one after the other, and what each still needs. */
export function authoredLines({ written, file }: Authored): readonly string[] {
  return [
    ...written.flatMap(one => [
      gutter('Signed', safe(one.text)),
      under(one.fact),
      ...(one.counts ? [] : [gutter('Waits', waitText(one.reason), 'note')]),
      ...one.undone.map(({ text }) => gutter('Undone', safe(text), 'note'))
    ]),
    ...fileLines(file),
    ...neededLines(
      written.filter(one => !one.counts && one.missing > 0),
      file
    )
  ]
}

export function fileLines(file: string | null): readonly string[] {
  return file === null ? [] : [gutter('Wrote', safe(file))]
}

/** What is still needed, and how to get it. */
export function neededLines(
  waiting: readonly Awaiting[],
  file: string | null,
  publishers: readonly NamedKey[] = []
): readonly string[] {
  const [first] = waiting
  if (first === undefined) return []
  const { missing, needed, open } = first
  const how =
    file === null
      ? `ggen-node sign ${waiting.map(({ fact }) => fact).join(' and ')}, or ggen-node sign ${first.fact} --out FILE and send FILE to them`
      : `ggen-node sign ${safe(file)} on their side: send it to them`
  return [
    gutter('Needs', `${missing} more of ${needed} owners: ${how}`, 'note'),
    ...open.slice(0, 8).map(key => under(keyText(key, publishers))),
    ...(open.length > 8 ? [under(`and ${countOf(open.length - 8, 'other')}`)] : [])
  ]
}

function waitText(reason: string | null): string {
  return reason === 'threshold-not-met' || reason === 'unknown-authority'
    ? 'it does not count before more owners have signed'
    : `it does not count: ${reason}`
}
