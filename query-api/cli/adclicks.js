#!/usr/bin/env node
/** `adclicks`: infra/launch.js says on which Node it runs. */
import { launch } from '../../infra/launch.js';

await launch('adclicks', new URL('main.ts', import.meta.url));
