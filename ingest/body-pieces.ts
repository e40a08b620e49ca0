/**
 * Collects the pieces of a body as they arrive.
 *
 * A piece of one byte takes as much memory as a hundred bytes, and a body may be sent as millions of pieces
 * (`Transfer-Encoding: chunked`). So small pieces are copied together. Only the first is not copied, because it is
 * nearly always the whole body.
 */
export class BodyPieces {
  readonly #pieces: Buffer[] = [];
  #block: Buffer | undefined;
  #blockEnd = 0;

  add(piece: Buffer): void {
    if (piece.length >= smallPieceBytes || (this.#pieces.length === 0 && this.#block === undefined)) {
      this.#closeBlock();
      this.#pieces.push(piece);
      return;
    }
    if (this.#block && this.#blockEnd + piece.length > blockBytes) this.#closeBlock();
    this.#block ??= Buffer.allocUnsafeSlow(blockBytes);
    this.#blockEnd += piece.copy(this.#block, this.#blockEnd);
  }

  all(): readonly Buffer[] {
    this.#closeBlock();
    return this.#pieces;
  }

  #closeBlock(): void {
    if (this.#block === undefined) return;
    this.#pieces.push(this.#block.subarray(0, this.#blockEnd));
    this.#block = undefined;
    this.#blockEnd = 0;
  }
}

const smallPieceBytes = 1 << 10;
const blockBytes = 4 << 10;
