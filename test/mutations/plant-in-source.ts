/** Changes a file's text while Node loads it: for bugs and step-points that must not be in the shipped code. */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mutated, type SourceEdit } from './mutations.ts';

/** To be called before the file is loaded. Loading it throws if the text to be replaced is not there exactly once. */
export function plantInSource(edit: SourceEdit): void {
  const target = pathToFileURL(join(import.meta.dirname, '../..', edit.file)).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== target) return loaded;
      const source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
      return { ...loaded, source: mutated(edit, source) };
    },
  });
}
