/**
 * Why a text can't stand in a manifest, or undefined when it can. One spelling: NFC, trimmed, not empty, no control
 * characters but tab and line feed, no bidi overrides, at most `maxChars` UTF-16 units.
 */
export function textFault(text: string, maxChars: number): string | undefined {
  if (text === '') return 'is empty, it should be absent'
  if (text.length > maxChars) return `has more than ${maxChars} characters`
  if (cleanText(text) !== text) return 'is not trimmed, clean NFC text'
  return undefined
}

// Controls, lone surrogates, and what turns the reading direction: a description must not disguise what follows it.
const UNWANTED = /(?![\t\n])[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu

/** The one spelling of a text: line ends as line feeds, unwanted characters gone, NFC, trimmed. */
export function cleanText(text: string): string {
  return text.replaceAll(/\r\n?/g, '\n').toWellFormed().replaceAll(UNWANTED, '').normalize('NFC').trim()
}

/** At most `maxChars` UTF-16 units of a clean text, never half a character, still clean. */
export function cutText(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text
  const end = isHighSurrogate(text.charCodeAt(maxChars - 2)) ? maxChars - 2 : maxChars - 1
  return `${text.slice(0, end).trim()}…`
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff
}
