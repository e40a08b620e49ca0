#!/usr/bin/env node
/** `adclicks-server`: all that runs on servers, by one name. infra/launch.js says on which Node it runs. */
import { launch } from '../launch.js';

await launch('adclicks-server', new URL('main.ts', import.meta.url));
