#!/usr/bin/env node
/**
 * The `mtemu` command as it is installed: loads the program that lies beside it, and runs it.
 */
import { fileURLToPath } from 'node:url';
import { loadProgram } from './code-cache.js';

loadProgram(fileURLToPath(new URL('.', import.meta.url))).program.main(process.argv.slice(2));
