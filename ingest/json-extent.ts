/**
 * Finds where a JSON value ends and how deep it nests, without parsing it, so that expensive values are known before
 * they are parsed.
 *
 * It understands only texts and brackets. Up to the first error in the JSON it sees what a parser sees, and a parser
 * goes no further. All other errors are left to the parser.
 */
export class JsonExtent {
  /** The next byte to examine. After `run` has returned true, it is the byte that ended the value. */
  at = 0;
  /** The highest number of brackets that were open at once. */
  deepest = 0;
  #depth = 0;
  #isInText = false;

  begin(at: number): void {
    this.at = at;
    this.deepest = 0;
    this.#depth = 0;
    this.#isInText = false;
  }

  /**
   * Continues, but not beyond `end`. Returns whether it has reached a comma or a closing bracket that does not belong
   * to the value.
   */
  run(body: Buffer, end: number): boolean {
    let { at } = this;
    let isInText = this.#isInText;
    for (; at < end; at++) {
      const byte = body[at]!;
      if (isInText) {
        if (byte === quote) isInText = false;
        else if (byte === backslash) at++;
      } else if (byte === quote) isInText = true;
      else if (byte === brace || byte === bracket) {
        if (++this.#depth > this.deepest) this.deepest = this.#depth;
      } else if (byte === closingBrace || byte === closingBracket) {
        if (this.#depth-- === 0) break;
      } else if (byte === comma && this.#depth === 0) break;
    }
    this.at = at;
    this.#isInText = isInText;
    return at < end;
  }
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const [brace, closingBrace, bracket, closingBracket] = [0x7b, 0x7d, 0x5b, 0x5d];
