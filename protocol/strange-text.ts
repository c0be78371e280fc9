const TURNS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u
const UNSEEN = /[\p{Default_Ignorable_Code_Point}\p{Cc}]/u
const MARK = /\p{M}/u

/**
 * The first character of a text that names of packages never have and that a person does not notice: what turns the direction of
 * writing, what cannot be seen, and whatever is not ASCII and so passes for something that is. It is named by its number: shown
 * itself, it would do what it does. Undefined for a text of nothing but ASCII that can be seen.
 */
export function strangeIn(text: string): string | undefined {
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0
    if (code > 0x1f && code < 0x7f) continue
    const number = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`
    if (TURNS.test(character)) return `${number} in it turns the direction of writing`
    if (UNSEEN.test(character)) return `${number} in it cannot be seen`
    if (MARK.test(character)) return `${number} in it is a mark on another character`
    return `${number} in it is not a character of ASCII, whatever it looks like`
  }
  return undefined
}

/** A text as an error may show it: on one line, cut, and with nothing strange in it. */
export function quoted(text: string, chars = 80): string {
  return JSON.stringify(text.slice(0, chars)).replaceAll(
    /[^\x20-\x7e]/g,
    unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}
