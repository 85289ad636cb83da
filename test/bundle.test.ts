/**
 * The library as it ships: bundled for browsers without a single `node:` import, and working.
 */
import { build, type Plugin } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { GENERATED_MODULES } from '../src/engine/index.js';

const ROOT = new URL('..', import.meta.url).pathname;

/** What the build's first step writes to dist. */
const interpreter: Plugin = {
  name: 'interpreter',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /dist\/(\w+)\.wasm$/ }, ({ path }) => ({
      path: path.replace(/^.*\/(.*)\.wasm$/, '$1'),
      namespace: 'generated',
    }));
    onLoad({ filter: /.*/, namespace: 'generated' }, ({ path }) => ({
      contents: GENERATED_MODULES[path]!(),
      loader: 'base64',
    }));
  },
};

async function bundle() {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: ['src/index.ts'],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    target: 'es2022',
    alias: { util: './src/base/no-node-util.ts' },
    loader: { '.s': 'text', '.dts': 'text', '.elf': 'binary' },
    plugins: [interpreter],
  });
  return { text: result.outputFiles[0]!.text, metafile: result.metafile };
}

describe('the browser bundle', () => {
  it.each(['evaluate', 'interpret'])('imports nothing, and runs a program: %s', async (engine) => {
    const { text, metafile } = await bundle();
    const imports = Object.values(metafile.outputs).flatMap((o) => o.imports);
    expect(imports).toEqual([]);
    expect(text).not.toMatch(/from\s*["']node:|require\(["']node:|import\(["']node:/);

    const url = `data:text/javascript;base64,${Buffer.from(text).toString('base64')}`;
    const mtemu = (await import(/* @vite-ignore */ url)) as typeof import('../src/index.js');
    const source = `
        .global _start
_start: mov x0, #1
        adr x1, text
        mov x2, #5
        mov x8, #64
        svc #0
        mov x0, #7
        mov x8, #94
        svc #0
text:   .ascii "works"
`;
    let output = '';
    const { kernel } = mtemu.bootSystem({
      tree: mtemu.defaultTree(64 * mtemu.MiB),
      engine,
      write: (_fd, bytes) => {
        output += new TextDecoder().decode(bytes);
      },
    });
    const elf = mtemu.readElf(mtemu.toElf(mtemu.assemble({ name: 'a.s', text: source }, {})), 'a');
    const process = kernel.spawn({ elf, args: ['a'] });
    expect(typeof process).toBe('object');
    if (typeof process === 'number') return;
    expect(kernel.run(process)).toEqual({ kind: 'ended', end: { kind: 'exited', status: 7 } });
    expect(output).toBe('works');
  });
});
