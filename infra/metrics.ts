/** Creates metrics in one Prometheus registry per process. Names have the prefix `adclicks_` and their unit. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export { Counter, Gauge, Histogram } from 'prom-client';

export const registry = new Registry();
/**
 * The delay of the event loop is measured by a timer. With the default of 10 ms, that timer would be what wakes an idle
 * process most often. The alert is at about half a second.
 */
const loopLagEveryMs = 50;
collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: loopLagEveryMs });

export function counter<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> {
  return new Counter({ name: `adclicks_${name}`, help, labelNames, registers: [registry] });
}

export function gauge<L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> {
  return new Gauge({ name: `adclicks_${name}`, help, labelNames, registers: [registry] });
}

/** In seconds, from a count in memory to a report that is too long. */
export const durationBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function histogram<L extends string>(
  name: string,
  help: string,
  labelNames: readonly L[] = [],
  buckets = durationBuckets,
): Histogram<L> {
  return new Histogram({ name: `adclicks_${name}`, help, labelNames, buckets, registers: [registry] });
}
