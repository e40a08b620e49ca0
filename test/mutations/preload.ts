/** `MUTATION=<name> node --import ./test/mutations/preload.ts …`: the file concerned is loaded with the bug in it. */
import { mutationNamed } from './mutations.ts';
import { plantInSource } from './plant-in-source.ts';

const name = process.env['MUTATION'];
if (name) plantInSource(mutationNamed(name));
