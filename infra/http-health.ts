/**
 * The HTTP server of a process that works on its own and serves only health, readiness and metrics, such as an
 * aggregator, a sink or a job runner.
 */
import type { ProcessConfig } from './config.ts';
import { createHttp, type HttpOptions, listen } from './http.ts';
import { closeHttp } from './http-drain.ts';
import type { Life } from './life.ts';
import type { Logger } from './log.ts';

export interface HealthServerOptions {
  /** The name of the process, with which its title and its description begin. */
  readonly title: string;
  readonly config: ProcessConfig;
  readonly port: number;
  readonly readiness: NonNullable<HttpOptions['readiness']>;
  readonly life: Life;
  readonly log: Logger;
}

export interface HealthServer extends AsyncDisposable {
  readonly url: string;
}

/** Listens at once, so that a process that is still starting says so. */
export async function openHealthServer(options: HealthServerOptions): Promise<HealthServer> {
  const { title, config, port } = options;
  const http = await createHttp({
    ...options,
    description: `Health and metrics of the ${title.toLowerCase()}.`,
    bodyLimitBytes: 1024,
    servesPages: false,
  });
  const url = await listen(http, config.HOST, port);
  return { url, [Symbol.asyncDispose]: () => closeHttp(http) };
}
