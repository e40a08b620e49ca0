/** Makes JSON values of a stream of bytes, one for each line. A line longer than `maxLineBytes` is an error. */
export async function* jsonLinesOf(
  pieces: AsyncIterable<Uint8Array>,
  maxLineBytes = 16 * 1_024 * 1_024,
): AsyncGenerator<unknown> {
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  for await (const piece of pieces) {
    let start = 0;
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, start)) {
      const line = Buffer.concat([...waiting, piece.subarray(start, end)]).toString();
      waiting = [];
      waitingBytes = 0;
      if (line.trim() !== '') yield JSON.parse(line);
      start = end + 1;
    }
    waiting.push(Buffer.from(piece.subarray(start)));
    waitingBytes += piece.length - start;
    if (waitingBytes > maxLineBytes) throw new RangeError(`a line is longer than ${maxLineBytes} bytes`);
  }
  const rest = Buffer.concat(waiting).toString();
  if (rest.trim() !== '') yield JSON.parse(rest);
}

const newline = 0x0a;
