import net, { type AddressInfo } from 'node:net';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AnswerBuffer, createSocket } from '../../../../infra/kafka/framed-socket.ts';

const framed = (body: Uint8Array) => {
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length);
  return Buffer.concat([length, body]);
};

it('hands over answers whole, however the bytes arrive', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { minLength: 1 }),
      fc.array(fc.integer({ min: 1, max: 50 })),
      (bodies, sizes) => {
        const answers = new AnswerBuffer();
        const sent = Buffer.concat(bodies.map(framed));
        const got: Buffer[] = [];
        for (let at = 0, i = 0; at < sent.length; i++) {
          const room = answers.room();
          const arrived = Math.min(room.length, sizes[i] ?? 7, sent.length - at);
          expect(arrived).toBeGreaterThan(0);
          sent.copy(room, 0, at, at + arrived);
          at += arrived;
          const answer = answers.take(arrived);
          if (answer) got.push(answer);
        }
        expect(got).toEqual(bodies.map(framed));
      },
    ),
  );
});

it('hands over what a server sends, tells when it ends, and gives up on one that is no broker', async () => {
  const large = framed(Buffer.alloc(3 << 20, 'x'));
  const server = net.createServer(socket => {
    socket.on('error', () => undefined);
    socket.once('data', question => {
      if (String(question) === 'http') socket.end('HTTP/1.1 400 Bad Request\r\n');
      else socket.end(Buffer.concat([framed(Buffer.from('a')), large, framed(Buffer.alloc(0))]));
    });
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const ask = (question: string) =>
    new Promise<Buffer[]>((resolve, reject) => {
      const answers: Buffer[] = [];
      const socket = createSocket({
        host: '127.0.0.1',
        port,
        ssl: undefined as never,
        onConnect: () => socket.write(question),
      });
      socket.on('data', answer => answers.push(answer));
      socket.on('end', () => resolve(answers));
      socket.on('error', reject);
    });
  const answers = await ask('kafka');
  expect(answers.map(({ length }) => length)).toEqual([5, large.length, 4]);
  expect(answers[1]?.equals(large)).toBe(true);
  await expect(ask('http')).rejects.toThrow('this is not an answer of Kafka');
  server.close();
});
