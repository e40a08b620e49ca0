import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createClients } from '../../../infra/http-clients.ts';
import { trustedProxies } from '../../../infra/trusted-proxies.ts';

function request(remoteAddress: string, headers: Record<string, string> = {}, socket = new Socket()): IncomingMessage {
  Object.defineProperty(socket, 'remoteAddress', { value: remoteAddress, configurable: true });
  const message = new IncomingMessage(socket);
  Object.assign(message.headers, headers);
  return message;
}

describe('a client', () => {
  it('is the same for all requests of an address, and of IPv6 for all of a /64', () => {
    const clients = createClients();
    expect(clients.of(request('192.0.2.1'))).toBe(clients.of(request('::ffff:192.0.2.1')));
    expect(clients.of(request('2001:db8::1'))).toBe(clients.of(request('2001:db8::ffff:1')));
    expect(clients.of(request('192.0.2.1'))).not.toBe(clients.of(request('192.0.2.2')));
    expect(clients.size).toBe(3);
  });

  it('does not choose its address by a header', () => {
    const clients = createClients();
    const direct = clients.of(request('192.0.2.1'));
    expect(clients.of(request('192.0.2.1', { 'x-forwarded-for': '198.51.100.1' }))).toBe(direct);
  });

  it('is who a trusted proxy says, request by request, on whatever connection', () => {
    const clients = createClients({ proxies: trustedProxies('TRUST', '10.0.0.0/8') });
    const socket = new Socket();
    const first = request('10.0.0.1', { 'x-forwarded-for': '198.51.100.1' }, socket);
    expect(clients.connected(socket)).toBeUndefined();
    const second = request('10.0.0.1', { 'x-forwarded-for': '198.51.100.2' }, socket);
    expect([first, second].map(each => clients.of(each).network)).toEqual(['198.51.100.1', '198.51.100.2']);
    expect(clients.of(request('203.0.113.1', { 'x-forwarded-for': '198.51.100.1' })).network).toBe('203.0.113.1');
  });

  it('is forgotten among many, unless it holds something', () => {
    const clients = createClients({ maxKept: 100 });
    const busy = clients.of(request('192.0.2.1'));
    const idle = clients.of(request('192.0.2.2'));
    busy.heldBytes = 1;
    for (let i = 0; i < 10_000; i++) clients.of(request(`10.1.${i >> 8}.${i & 255}`));
    expect(clients.size).toBeLessThanOrEqual(101);
    expect(clients.of(request('192.0.2.1'))).toBe(busy);
    expect(clients.of(request('192.0.2.2'))).not.toBe(idle);
  });

  it('is kept for as long as it goes on asking, however many others ask', () => {
    const clients = createClients({ maxKept: 100 });
    const steady = clients.of(request('192.0.2.1'));
    for (let i = 0; i < 10_000; i++) {
      clients.of(request(`10.1.${i >> 8}.${i & 255}`));
      if (i % 40 === 0) expect(clients.of(request('192.0.2.1'))).toBe(steady);
    }
  });
});

describe('TLS', () => {
  it('is what a trusted proxy says, last, and nobody else', () => {
    const clients = createClients({ proxies: trustedProxies('TRUST', '10.0.0.1') });
    const over = (address: string, proto?: string) =>
      clients.isOverTls(request(address, proto === undefined ? {} : { 'x-forwarded-proto': proto }));
    expect([over('10.0.0.1', 'https'), over('10.0.0.1', 'http, https'), over('10.0.0.1', 'HTTPS')]).toEqual([
      true,
      true,
      true,
    ]);
    expect([over('10.0.0.1'), over('10.0.0.1', 'https, http'), over('192.0.2.1', 'https')]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
