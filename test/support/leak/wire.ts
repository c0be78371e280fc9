/** As much of protobuf as a stranger needs to ask, and to read what he is told. */
export interface Field {
  readonly number: number
  readonly value: number | Uint8Array
}

/** A message of these fields, in their order. */
export function encodeMessage(...fields: readonly (readonly [number, number | Uint8Array])[]): Uint8Array {
  return Buffer.concat(
    fields.flatMap(([number, value]) =>
      typeof value === 'number'
        ? [varint(number * 8), varint(value)]
        : [varint(number * 8 + 2), varint(value.length), value]
    )
  )
}

export function lengthPrefixed(message: Uint8Array): Uint8Array {
  return Buffer.concat([varint(message.length), message])
}

/** The whole messages that a stream begins with. */
export function splitMessages(bytes: Uint8Array): readonly Uint8Array[] {
  const messages: Uint8Array[] = []
  for (let at = 0; ;) {
    const length = readVarint(bytes, at)
    if (length === undefined || length.end + length.value > bytes.length) return messages
    at = length.end + length.value
    messages.push(bytes.subarray(length.end, at))
  }
}

/** The fields of a message; what is not understood ends it. */
export function fieldsOf(message: Uint8Array): readonly Field[] {
  const fields: Field[] = []
  for (let at = 0; at < message.length;) {
    const tag = readVarint(message, at)
    const value = tag === undefined ? undefined : readVarint(message, tag.end)
    if (tag === undefined || value === undefined) break
    const number = Math.floor(tag.value / 8)
    if (tag.value % 8 === 0) {
      fields.push({ number, value: value.value })
      at = value.end
    } else if (tag.value % 8 === 2) {
      at = value.end + value.value
      fields.push({ number, value: message.subarray(value.end, at) })
    } else break
  }
  return fields
}

/** The values of a field that are bytes. */
export function bytesIn(fields: readonly Field[], number: number): readonly Uint8Array[] {
  return fields.flatMap(field => (field.number === number && typeof field.value !== 'number' ? [field.value] : []))
}

export function numberIn(fields: readonly Field[], number: number): number {
  const value = fields.find(field => field.number === number)?.value
  return typeof value === 'number' ? value : 0
}

function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80)
  return Uint8Array.from([...bytes, rest])
}

function readVarint(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  for (let index = 0; index < 8; index++) {
    const byte = bytes[at + index]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, end: at + index + 1 }
  }
  return undefined
}
