/** `MUTATION=<name> node --import ./test/mutations/preload.ts …`: the file concerned is loaded with the bug in it. */
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mutated, mutationNamed } from './mutations.ts';

const name = process.env['MUTATION'];
if (name) {
  const mutation = mutationNamed(name);
  const target = pathToFileURL(join(import.meta.dirname, '../..', mutation.file)).href;
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (url !== target) return loaded;
      const source =
        typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
      return { ...loaded, source: mutated(mutation, source) };
    },
  });
}
