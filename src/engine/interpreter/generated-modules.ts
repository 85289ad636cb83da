/** What the build makes of the instruction set: the modules of generated code, by the names of their files. */
import { generateInterpreter } from './generate.js';
import { generateFloats, generateVectors } from './generate-vectors.js';

/** The bytes of each module. */
export const GENERATED_MODULES: Readonly<Record<string, () => Uint8Array<ArrayBuffer>>> = {
  interpreter: () => generateInterpreter().bytes,
  vectors: () => generateVectors().bytes,
  floats: () => generateFloats().bytes,
};
