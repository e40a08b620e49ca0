/** What runs when a process is told to stop: its HTTP server drains, with real processes and connections. */
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { startService as startSupervised } from '../../infra/embedded/service.ts';
import { ask, isRefusal, type Outcome } from '../support/http-client.ts';
import { quietPort } from '../support/quiet-port.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const services: Service[] = [];
const agents: Agent[] = [];
afterEach(async () => {
  for (const agent of agents.splice(0)) agent.destroy();
  for (const service of services.splice(0)) await service[Symbol.asyncDispose]();
});

async function start(env: Readonly<Record<string, string>> = {}): Promise<Service> {
  const service = await startService('test/support/slow-server.ts', 'PORT', env);
  services.push(service);
  await service.ready();
  return service;
}

/** It is at work on a request that takes long. */
const begun = (service: Service) => eventually('it is begun', () => service.logs().includes('"begun"'));

function keepAlive(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  agents.push(agent);
  return agent;
}
const anew = () => new Agent({ keepAlive: false });

describe('a process that was told to stop', () => {
  it('fails no request of a client that honours readiness, and says 503 while it serves on', async () => {
    const service = await start({ DRAIN_DELAY_MS: '2000' });
    const outcomes: Outcome[] = [];
    let ready = true;
    const load = async (agent: Agent) => {
      while (ready) outcomes.push(await ask(`${service.url}/slow?ms=20`, { agent }));
    };
    const clients = [...Array.from({ length: 3 }, keepAlive), ...Array.from({ length: 3 }, anew)].map(load);
    const watch = async () => {
      for (const agent = anew(); ; await sleep(25)) {
        const { status, headers, body } = await ask(`${service.url}/readyz`, { agent });
        if (status === 200) continue;
        ready = false;
        return { status, type: headers['content-type'], problem: JSON.parse(body) };
      }
    };
    const watching = watch();
    await eventually('all are busy', () => outcomes.length > 30);
    const before = outcomes.length;
    const ended = service.stop();
    expect(await watching).toMatchObject({
      status: 503,
      type: expect.stringContaining('application/problem+json'),
      problem: { code: 'not_ready', failed: { stopping: expect.any(String) } },
    });
    await Promise.all(clients);
    expect(outcomes.filter(({ status, body }) => status !== 200 || body !== '{"done":true}')).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(before);
    // It is not ready, and yet there.
    expect((await ask(`${service.url}/slow`, { agent: anew() })).status).toBe(200);
    expect((await ask(`${service.url}/healthz`, { agent: anew() })).status).toBe(200);
    expect(await ended).toBe(0);
  });

  it('sends clients that keep their connections elsewhere with an answer each: the real one, then a problem', async () => {
    const service = await start({ DRAIN_DELAY_MS: '300' });
    const clients = Array.from({ length: 4 }, keepAlive).map(async agent => {
      const outcomes: Outcome[] = [];
      do outcomes.push(await ask(`${service.url}/slow?ms=5`, { agent }));
      while (outcomes.at(-1)?.failed === undefined);
      return outcomes;
    });
    // Keeps the listener open while the others are being refused.
    const longest = ask(`${service.url}/slow?ms=4000`, { agent: keepAlive() });
    await begun(service);
    const ended = service.stop();
    for (const outcomes of await Promise.all(clients)) {
      const last = outcomes.pop();
      // The listener is gone, or was while the connection was being made.
      expect(last).toMatchObject({ failed: expect.stringMatching(/ECONNREFUSED|ECONNRESET/), reused: false });
      expect(outcomes.filter(outcome => outcome.status !== 200 && !isRefusal(outcome))).toEqual([]);
      expect(outcomes.findIndex(isRefusal)).toBeGreaterThan(0);
      expect(outcomes.slice(outcomes.findIndex(isRefusal)).filter(outcome => !isRefusal(outcome))).toEqual([]);
    }
    expect(await longest).toMatchObject({ status: 200, body: '{"done":true}', headers: { connection: 'close' } });
    expect(await ended).toBe(0);
  });

  it('lets a client that is still sending a large body read why it is refused', async () => {
    const service = await start();
    const longest = ask(`${service.url}/slow?ms=4000`, { agent: keepAlive() });
    await begun(service);
    const ended = service.stop();
    await eventually('it stops', () => service.logs().includes('"stopping"'));
    const body = Buffer.from(JSON.stringify('x'.repeat(4 << 20)));
    expect(isRefusal(await ask(`${service.url}/take`, { agent: anew(), body }))).toBe(true);
    expect((await longest).status).toBe(200);
    expect(await ended).toBe(0);
  });

  it('ends what would never end by itself with a last word', async () => {
    const service = await start();
    const events = ask(`${service.url}/events`, { agent: keepAlive() });
    await begun(service);
    const ended = service.stop();
    expect(await events).toMatchObject({ status: 200, body: 'first\nlast\n' });
    expect(await ended).toBe(0);
  });

  it('is not held up by connections on which nothing is asked', async () => {
    const service = await start({ DRAIN_TIMEOUT_MS: '60000' });
    const silent = connect(Number(new URL(service.url).port), '127.0.0.1').on('error', () => undefined);
    await ask(`${service.url}/slow`, { agent: keepAlive() });
    expect(await service.stop()).toBe(0);
    expect(service.logs()).not.toContain('cut off');
    silent.destroy();
  });

  it('cuts off what takes longer than the limit, names it, and still closes in order', async () => {
    const service = await start({ DRAIN_TIMEOUT_MS: '1000' });
    const longest = ask(`${service.url}/slow?ms=60000`, { agent: keepAlive() });
    await begun(service);
    expect(await service.stop()).toBe(0);
    expect((await longest).failed).toBe('ECONNRESET');
    expect(service.logs()).toMatch(/"requests":\["GET \/slow"\],"msg":"requests cut off/);
    expect(service.logs()).toContain('"closed"');
  });

  it('is ended at its limit by force when something hangs', async () => {
    const service = await start({ DRAIN_TIMEOUT_MS: '1000', HANGS: 'yes' });
    expect(await service.stop()).toBe(1);
    expect(service.logs()).toMatch(/"limitMs":1000,"msg":"not drained in time, exiting"/);
  });

  it('drains also when it is told again, where it has a supervisor', async () => {
    const port = await quietPort();
    const lines: string[] = [];
    const program = join(import.meta.dirname, '../support/slow-server.ts');
    const env = { ...process.env, PORT: `${port}`, DRAIN_DELAY_MS: '0' };
    const child = await startSupervised({ program, env, onLine: line => lines.push(line) });
    await eventually('it listens', () => lines.some(line => line.includes('"listening"')));
    const longest = ask(`http://127.0.0.1:${port}/slow?ms=3000`, { agent: keepAlive() });
    await eventually('it is begun', () => lines.some(line => line.includes('"begun"')));
    process.kill(child.pid, 'SIGTERM');
    await sleep(800);
    process.kill(child.pid, 'SIGTERM');
    expect((await longest).status).toBe(200);
    expect(await child.exited).toMatchObject({ code: 0 });
  });

  it('ends at once when it is told again, but not by the echo of the first signal', async () => {
    const service = await start({ DRAIN_DELAY_MS: '60000' });
    service.signal('SIGINT');
    service.signal('SIGINT');
    await sleep(700);
    expect((await ask(`${service.url}/slow`, { agent: anew() })).status).toBe(200);
    const longest = ask(`${service.url}/slow?ms=60000`, { agent: keepAlive() });
    await begun(service);
    expect(await service.stop()).toBe(1);
    expect((await longest).failed).toBe('ECONNRESET');
    expect(service.logs()).toContain('asked to stop a second time: ending at once');
  });
});
