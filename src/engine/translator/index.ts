/** The region translator: makes WebAssembly of hot guest code at run time. */
export { Translator, type TranslatorOptions } from './translator.js';
