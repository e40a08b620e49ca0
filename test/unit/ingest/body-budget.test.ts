import { describe, expect, it } from 'vitest';
import { Client } from '../../../infra/http-clients.ts';
import { BodyBudget, type BodyUnderWay } from '../../../ingest/body-budget.ts';

/** Room for 100 bytes, 40 of a client; a body must bring 10 bytes a second, in any 5 s. */
function setUp({ budgetBytes = 100, clientBudgetBytes = 40 } = {}) {
  let at = 0;
  const budget = new BodyBudget({
    ...{ budgetBytes, clientBudgetBytes, minBytesPerSecond: 10, paceMs: 5_000, stepBytes: 1, now: () => at },
  });
  const ended: [string, string][] = [];
  const begin = (name: string, client: Client): BodyUnderWay => {
    const body = budget.begin(client);
    body.end = ({ code }) => ended.push([name, code]);
    budget.watch(body);
    return body;
  };
  const pass = (ms: number) => {
    at += ms;
    budget.endSlow();
  };
  return { budget, begin, ended, pass };
}

const [a, b, c] = ['a', 'b', 'c'].map(name => new Client(name)) as [Client, Client, Client];
const heldBy = (...clients: Client[]) => clients.map(({ heldBytes }) => heldBytes);

describe('the budget of bodies', () => {
  it('ends what has been idle the longest of a client that has no more room, and gives its bytes free', () => {
    const { budget, begin, ended } = setUp();
    const client = new Client('x');
    const [first, second, third] = ['1', '2', '3'].map(name => begin(name, client)) as [
      BodyUnderWay,
      BodyUnderWay,
      BodyUnderWay,
    ];
    budget.take(first, 15);
    budget.take(second, 15);
    budget.take(first, 5);
    budget.take(third, 10);
    expect([ended, client.heldBytes, budget.bytes]).toEqual([[['2', 'body_evicted']], 30, 30]);
    budget.take(third, 15);
    expect([ended.at(-1), client.heldBytes]).toEqual([['1', 'body_evicted'], 25]);
  });

  it('takes room from the client that holds the most, never from one that holds less, nor from what brings nothing', () => {
    const { budget, begin, ended } = setUp();
    const clients = [25, 38, 30].map((bytes, i) => {
      const client = new Client(`${i}`);
      begin(`${i} nothing`, client);
      budget.take(begin(`${i} first`, client), bytes - 10);
      budget.take(begin(`${i} second`, client), 10);
      return client;
    });
    const small = new Client('small');
    const body = begin('small', small);
    budget.take(body, 5);
    budget.take(body, 10);
    expect(ended).toEqual([['1 first', 'body_evicted']]);
    expect([...heldBy(...clients), small.heldBytes, budget.bytes]).toEqual([25, 10, 30, 15, 80]);
  });

  it('refuses a body for which nothing can be ended: 429 for its client’s share, 503 for that of all', () => {
    const { budget, begin, ended } = setUp();
    const alone = begin('alone', a);
    expect(() => budget.take(alone, 41)).toThrow(
      expect.objectContaining({ status: 429, code: 'client_busy', retryAfterS: 1 }),
    );
    budget.release(alone);
    // Received, and waiting to be inflated: these are not idle.
    const whole = [a, b, c].map((client, i) => {
      const body = begin(`${i}`, client);
      budget.take(body, 33);
      budget.unwatch(body);
      return body;
    });
    const late = budget.begin(new Client('late'));
    expect(() => budget.take(late, 2)).toThrow(expect.objectContaining({ status: 503, code: 'busy', retryAfterS: 1 }));
    for (const body of [...whole, late]) budget.release(body);
    expect([budget.bytes, ...heldBy(a, b, c), ended]).toEqual([0, 0, 0, 0, []]);
  });

  it('ends a body that trickles or has stopped, however much it has brought, and no other', () => {
    const { budget, begin, ended, pass } = setUp({ budgetBytes: 1_000, clientBudgetBytes: 1_000 });
    const client = new Client('x');
    const [steady, trickling, stopped] = ['steady', 'trickling', 'stopped'].map(name => begin(name, client)) as [
      BodyUnderWay,
      BodyUnderWay,
      BodyUnderWay,
    ];
    budget.take(stopped, 49);
    for (let second = 0; second < 5; second++) {
      pass(999);
      budget.take(steady, 10);
      budget.take(trickling, 9);
    }
    expect(ended).toEqual([]);
    pass(5);
    expect(ended).toEqual([
      ['stopped', 'body_too_slow'],
      ['trickling', 'body_too_slow'],
    ]);
    expect([budget.bytes, client.heldBytes]).toEqual([50, 50]);
    // Nor does it help to have been quick before.
    budget.take(steady, 500);
    pass(5_000);
    budget.take(steady, 49);
    pass(5_000);
    expect(ended.at(-1)).toEqual(['steady', 'body_too_slow']);
    expect([budget.bytes, client.heldBytes]).toEqual([0, 0]);
  });

  it('lets a body that comes on be as slow as it may', () => {
    const { budget, begin, ended, pass } = setUp({ budgetBytes: 1_000, clientBudgetBytes: 1_000 });
    const body = begin('slow', new Client('x'));
    for (let second = 0; second < 60; second++) {
      budget.take(body, 10);
      pass(1_000);
    }
    // It has been received, and waits.
    budget.unwatch(body);
    pass(60_000);
    expect(ended).toEqual([]);
    budget.release(body);
    expect(budget.bytes).toBe(0);
  });

  it('makes room for the one that holds the most, too, by what has stood still for a second', () => {
    const { budget, begin, ended, pass } = setUp();
    const clients = [28, 28, 28].map((bytes, i) => {
      const client = new Client(`${i}`);
      budget.take(begin(`${i}`, client), bytes);
      return client;
    });
    const large = new Client('large');
    const body = begin('large', large);
    budget.take(body, 10);
    pass(999);
    expect(() => budget.take(body, 20)).toThrow(expect.objectContaining({ code: 'busy' }));
    budget.release(body);
    const again = begin('again', large);
    budget.take(again, 10);
    pass(1);
    budget.take(again, 20);
    expect([ended, ...heldBy(...clients, large)]).toEqual([[['0', 'body_evicted']], 0, 28, 28, 30]);
  });

  it('takes a body that brings a byte now and then for idle', () => {
    let at = 0;
    const budget = new BodyBudget({
      ...{ budgetBytes: 10_000, clientBudgetBytes: 8_000, minBytesPerSecond: 0, now: () => at },
    });
    const ended: string[] = [];
    const begin = (name: string) => {
      const body = budget.begin(a);
      body.end = () => ended.push(name);
      budget.watch(body);
      return body;
    };
    const [trickling, coming] = [begin('trickling'), begin('coming')];
    budget.take(trickling, 3_000);
    budget.take(coming, 3_000);
    for (; at < 100; at++) budget.take(trickling, 1);
    budget.take(coming, 2_000);
    expect(ended).toEqual(['trickling']);
    budget.release(coming);
    expect([budget.bytes, a.heldBytes]).toEqual([0, 0]);
  });

  it('frees nothing twice', () => {
    const { budget, begin, ended } = setUp();
    const client = new Client('x');
    const [old, young] = [begin('old', client), begin('young', client)];
    budget.take(old, 30);
    budget.take(young, 20);
    expect(ended).toEqual([['old', 'body_evicted']]);
    budget.release(old);
    budget.release(young);
    budget.release(young);
    expect([budget.bytes, client.heldBytes]).toEqual([0, 0]);
  });
});
