/** The generated interpreter. */
export { type GeneratedInterpreter, generateInterpreter } from './generate.js';
export { Interpreter, type InterpreterStatistics } from './interpreter.js';
