/**
 * Shows the progress of feeding a file: a bar on a terminal, or a line from time to time elsewhere. All of it goes to
 * stderr.
 */
import { Presets, SingleBar } from 'cli-progress';

export interface ProgressView extends Disposable {
  update(doneBytes: number, accepted: number, rejected: number): void;
  /** Prints a line of its own, above the bar. */
  say(text: string): void;
}

/** `totalBytes` is undefined when the end is not known. */
export function createProgress(name: string, totalBytes: number | undefined, isTerminal: boolean): ProgressView {
  return isTerminal && totalBytes !== undefined ? barView(name, totalBytes) : lineView(name, totalBytes);
}

const mb = (bytes: number) => (bytes / 1e6).toFixed(1);

function barView(name: string, totalBytes: number): ProgressView {
  const format = `${name} [{bar}] {percentage} % · {mb}/${mb(totalBytes)} MB · {accepted} accepted, {rejected} rejected · {eta_formatted} left`;
  const bar = new SingleBar(
    { format, stream: process.stderr, hideCursor: true, etaBuffer: 50 },
    Presets.shades_classic,
  );
  bar.start(totalBytes, 0, { mb: '0.0', accepted: 0, rejected: 0 });
  return {
    update: (doneBytes, accepted, rejected) => bar.update(doneBytes, { mb: mb(doneBytes), accepted, rejected }),
    say(text) {
      process.stderr.write(`\r\x1b[K${text}\n`);
      bar.render();
    },
    [Symbol.dispose]: () => bar.stop(),
  };
}

/** The time between two lines. */
const lineIntervalMs = 5_000;

function lineView(name: string, totalBytes: number | undefined): ProgressView {
  let lastMs = performance.now();
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  return {
    update(doneBytes, accepted, rejected) {
      if (performance.now() - lastMs < lineIntervalMs) return;
      lastMs = performance.now();
      const of = totalBytes === undefined ? '' : ` of ${mb(totalBytes)}`;
      say(`${name}: ${mb(doneBytes)}${of} MB, ${accepted} accepted, ${rejected} rejected`);
    },
    say,
    [Symbol.dispose]: () => undefined,
  };
}
