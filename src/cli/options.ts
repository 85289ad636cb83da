/**
 * Command-line options: node's parseArgs with our diagnostics.
 *
 * A wrong flag is bad input like any other: `error[CLI-USAGE]`, with the near misses, exit 2.
 */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { inputError, suggest } from '../base/index.js';

export type OptionSpecs = NonNullable<ParseArgsConfig['options']>;

export interface ParsedOptions {
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
}

/** Index of the first word that is neither an option nor an option's value; args.length if none. */
export function firstPositional(specs: OptionSpecs, args: readonly string[]): number {
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (word === '--') return i + 1;
    if (!word.startsWith('-') || word === '-') return i;
    const name = word.startsWith('--')
      ? word.slice(2)
      : Object.entries(specs).find(([, s]) => s.short === word[1] && word.length === 2)?.[0];
    if (name !== undefined && !name.includes('=') && specs[name]?.type === 'string') i++;
  }
  return args.length;
}

/** Parses all of `args`. Throws InputError (CLI-USAGE). */
export function parseOptions(command: string, specs: OptionSpecs, args: readonly string[]): ParsedOptions {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: specs,
      allowPositionals: true,
      strict: true,
    });
    return { values, positionals };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code?.startsWith('ERR_PARSE_ARGS') !== true) throw error;
    const unknown = /'(-[^' ]+)/.exec(message)?.[1] ?? '';
    const near = suggest(unknown.replace(/^-+/, ''), Object.keys(specs));
    throw usageError(
      command,
      code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION' ? `there is no option '${unknown}'` : firstSentence(message),
      near.length > 0 && code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION'
        ? `did you mean '--${near[0]}'?`
        : undefined,
    );
  }
}

function firstSentence(message: string): string {
  return message.replace(/\.\s.*$/s, '').replace(/^[A-Z](?=[a-z])/, (c) => c.toLowerCase());
}

export function usageError(command: string, message: string, help?: string) {
  return inputError('CLI-USAGE', message, { help: help ?? `'mtemu ${command} --help' shows the usage` });
}

/** A string option's value. */
export function text(values: ParsedOptions['values'], name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

/** One of `choices`, or a usage error that lists them. */
export function choice<T extends string>(
  command: string,
  values: ParsedOptions['values'],
  name: string,
  choices: readonly T[],
): T | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  const found = choices.find((c) => c === value);
  if (found === undefined) {
    throw usageError(command, `--${name} cannot be '${value}'`, `it is one of: ${choices.join(', ')}`);
  }
  return found;
}

/** A whole number of at least `low`, or a usage error. */
export function wholeNumber(
  command: string,
  values: ParsedOptions['values'],
  name: string,
  low = 0,
): number | undefined {
  const value = text(values, name);
  if (value === undefined) return undefined;
  const number = /^(0x[0-9a-f]+|[0-9]+)$/i.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number) || number < low) {
    throw usageError(command, `--${name} takes a whole number of at least ${low}, not '${value}'`);
  }
  return number;
}
