/** What the device tree tests share: loaders over plain objects and folders, digests, tool look-up. */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Diagnostic, InputError, positionOf } from '../../src/base/index.js';
import { type CompileOptions, compileDts, type DeviceTree } from '../../src/devicetree/index.js';

export const repoRoot = new URL('../../', import.meta.url).pathname;
export const vectorFolder = join(repoRoot, '../shared/vectors/devicetree');

/** Loaders that find files in an object. */
export function memoryLoaders(files: Readonly<Record<string, string>>): CompileOptions {
  const find = (path: string) => (Object.hasOwn(files, path) ? files[path] : undefined);
  return {
    include: (path) => {
      const text = find(path);
      return text === undefined ? undefined : { name: path, text };
    },
    incbin: (path) => {
      const text = find(path);
      return text === undefined ? undefined : new TextEncoder().encode(text);
    },
  };
}

/** Loaders that find files beside the including file. */
export const diskLoaders = {
  include: (path: string, from: string) => {
    const name = join(dirname(from), path);
    return existsSync(name) ? { name, text: readFileSync(name) } : undefined;
  },
  incbin: (path: string, from: string) => {
    const name = join(dirname(from), path);
    return existsSync(name) ? readFileSync(name) : undefined;
  },
};

export function compile(text: string, options: CompileOptions = {}) {
  return compileDts({ name: 'test.dts', text }, options);
}

/** A root node around `body`, compiled. */
export function compileBody(body: string, options: CompileOptions = {}) {
  return compile(`/dts-v1/;\n/ { ${body} };\n`, options);
}

/** The diagnostics of the InputError that `run` throws. */
export function errorsOf(run: () => unknown): readonly Diagnostic[] {
  try {
    run();
  } catch (error) {
    if (error instanceof InputError) return error.diagnostics;
    throw error;
  }
  return [];
}

export function placeOf(d: Diagnostic): { file: string; line: number; column: number } | undefined {
  return d.span && positionOf(d.span);
}

/** SHA-256 over paths and properties in document order, as the vectors have it. */
export function treeDigest(tree: DeviceTree): string {
  const hash = createHash('sha256');
  const stack = [{ node: tree.root, path: '/' }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    hash.update(Buffer.from(`${top.path}\n`, 'latin1'));
    for (const [name, value] of top.node.properties) {
      hash.update(Buffer.from(`${name}=${Buffer.from(value).toString('hex')}\n`, 'latin1'));
    }
    const prefix = top.path === '/' ? '/' : `${top.path}/`;
    for (const child of [...top.node.children].reverse()) {
      stack.push({ node: child, path: prefix + child.name });
    }
  }
  return hash.digest('hex');
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** For large blobs, which `toEqual` compares very slowly. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

export function base64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** dtc 1.6.1 if it is installed; other versions differ in details. */
export const hasDtc = /\b1\.6\.1\b/.test(spawnSync('dtc', ['--version']).stdout?.toString() ?? '');
