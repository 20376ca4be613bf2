/** What a reader of messages takes. */
export interface Grammar {
  /** Whether the first bytes of a head, 32 of them or fewer, may be that. */
  mayBegin(start: string): boolean
  /** Whether a bare LF ends a head's line as well (RFC 9112 §2.2). */
  readonly takesBareLf: boolean
  /** A chunk's size, and its extensions (§7.1.1); the white space before one is what old software writes. */
  readonly sizeLine: RegExp
}

/** To the letter: what two readers understand differently hides one request within another. */
export const requestGrammar: Grammar = {
  mayBegin: (start) => /^[A-Z][A-Z-]*(?: |$)/.test(start),
  takesBareLf: false,
  sizeLine: /^([0-9A-Fa-f]{1,16})(?:[\t ]*;[\t -~\x80-\xff]*)?$/,
}

/** Also what small servers write, and every other proxy takes (see `mending.ts`). Some pad sizes to a width. */
export const responseGrammar: Grammar = {
  mayBegin: (start) => 'HTTP/1.'.startsWith(start.slice(0, 7)),
  takesBareLf: true,
  sizeLine: /^([0-9A-Fa-f]{1,16})[\t ]*(?:;[\t -~\x80-\xff]*)?$/,
}
