import net, { type AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createSocket } from '../../../../infra/kafka/framed-socket.ts';
import { requestWritten, takeRequestMemory } from '../../../../infra/kafka/request-memory.ts';
import { eventually } from '../../../support/wait.ts';

const large = 100_000;

describe('memory of requests', () => {
  it('is used again once the request is written, and not before', () => {
    const request = takeRequestMemory(large);
    expect(takeRequestMemory(large).buffer).not.toBe(request.buffer);
    requestWritten(request);
    expect(takeRequestMemory(large - 1).buffer).toBe(request.buffer);
  });

  it('is given to one request at a time, however often it is told to be written', () => {
    const request = takeRequestMemory(large);
    requestWritten(request);
    requestWritten(request);
    const [one, other] = [takeRequestMemory(large), takeRequestMemory(large)];
    expect(one.buffer).not.toBe(other.buffer);
  });

  it('is not taken back from a socket that has not written it yet, and is once it has', async () => {
    const received: Buffer[] = [];
    const server = net.createServer({ pauseOnConnect: true }, socket => {
      socket.on('data', data => received.push(data));
      setTimeout(() => socket.resume(), 200);
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const options = { host: '127.0.0.1', port, ssl: undefined as never };
    const socket = await new Promise<net.Socket>(resolve => {
      const connecting = createSocket({ ...options, onConnect: () => resolve(connecting) });
    });
    // More than what lies between the two takes without being read.
    const request = takeRequestMemory(16 << 20).fill(7);
    socket.write(request, 'binary');
    const next = takeRequestMemory(16 << 20);
    expect(next.buffer).not.toBe(request.buffer);
    await eventually('written', () => Buffer.concat(received).length === request.length);
    expect(Buffer.concat(received).every(byte => byte === 7)).toBe(true);
    expect(takeRequestMemory(16 << 20).buffer).toBe(request.buffer);
    socket.destroy();
    server.close();
  });
});
