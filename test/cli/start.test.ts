/**
 * The command as it is installed: a starter, the program's text, and its code cache, which must never
 * stand in for another text.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CACHE_FILE, PROGRAM_FILE } from '../../src/cli/code-cache.js';
import { makeCodeCache } from '../../src/cli/make-code-cache.js';
import { GENERATED_MODULES } from '../../src/engine/index.js';

const ROOT = new URL('../..', import.meta.url).pathname;
const folder = `${mkdtempSync(join(tmpdir(), 'mtemu-start-'))}/`;

/** The modules of generated code, which the build leaves files. */
const modules: Plugin = {
  name: 'modules',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /dist\/(\w+)\.wasm$/ }, ({ path }) => ({
      path: path.replace(/^.*\//, ''),
      namespace: 'generated',
    }));
    onLoad({ filter: /.*/, namespace: 'generated' }, ({ path }) => ({
      contents: GENERATED_MODULES[path.replace('.wasm', '')]!(),
      loader: 'file',
    }));
  },
};

const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')) as {
  scripts: Record<string, string>;
};
/** What the build puts around the program's text. */
const around = (option: string) => new RegExp(`--${option}:js=(.*?)"`).exec(scripts['build:program']!)![1]!;

beforeAll(async () => {
  const common = { absWorkingDir: ROOT, bundle: true, platform: 'node', target: 'node20' } as const;
  await build({
    ...common,
    entryPoints: ['src/cli/main.ts'],
    format: 'cjs',
    loader: { '.s': 'text', '.dts': 'text', '.elf': 'binary' },
    plugins: [modules],
    assetNames: /--asset-names=(\S+)/.exec(scripts['build:program']!)![1]!,
    banner: { js: around('banner') },
    footer: { js: around('footer') },
    outfile: folder + PROGRAM_FILE,
  });
  await build({
    ...common,
    entryPoints: { mtemu: 'src/cli/start.ts', 'code-cache': 'src/cli/code-cache.ts' },
    format: 'esm',
    outdir: folder,
  });
  writeFileSync(`${folder}package.json`, '{"type": "module"}');
  writeFileSync(
    `${folder}seven.s`,
    '.global _start\n_start: mov x0, #7\n mov x8, #93\n svc #0\n mov x0, #9\n svc #0\n',
  );
  await makeCodeCache(folder);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, [`${folder}mtemu.js`, ...args], { cwd: folder, encoding: 'utf8' });

/** Bytes before V8's data: the hash, the length of the firmware, the firmware. */
const headOf = (file: Uint8Array) => 72 + Number(Buffer.from(file.subarray(64, 72)).toString());

/** In a process of its own: a V8 that knows the text already asks no cache. */
function fromCache(): string {
  const script = `import { loadProgram } from './code-cache.js'; console.log(loadProgram('${folder}').fromCache)`;
  const args = ['--input-type=module', '-e', script];
  return spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' }).stdout.trim();
}

describe('the installed command', () => {
  it('takes its code from the cache, and works', () => {
    expect(fromCache()).toBe('true');
    expect(run('--version').stdout).toMatch(/^mtemu \d+\.\d+\.\d+\n$/);
    const { status, stderr } = run('run', 'seven.s');
    expect({ status, stderr }).toEqual({ status: 7, stderr: '' });
  });

  it('finds generated code beside it', () => {
    const { status, stderr } = run('run', '--engine', 'interpret', '--stats', 'seven.s');
    expect(status).toBe(7);
    const { engine } = JSON.parse(stderr) as { engine: { name: string; entries: number } };
    expect(engine.name).toBe('interpret');
    expect(engine.entries).toBeGreaterThan(0);
  });

  it('stamps a text once', async () => {
    const before = readFileSync(folder + PROGRAM_FILE, 'latin1');
    await makeCodeCache(folder);
    expect(readFileSync(folder + PROGRAM_FILE, 'latin1') === before).toBe(true);
  });

  it('does not run the cache of another text of the same length', () => {
    const text = readFileSync(folder + PROGRAM_FILE, 'latin1');
    const hash = text.slice(-64);
    const other = hash.replace(/^./, (c) => (c === '0' ? '1' : '0'));
    const changed = text.slice(0, -64) + other;
    expect(changed.length).toBe(text.length);
    writeFileSync(folder + PROGRAM_FILE, changed, 'latin1');
    expect(fromCache()).toBe('false');
    writeFileSync(folder + PROGRAM_FILE, text.slice(0, -64), 'latin1');
    expect(fromCache()).toBe('false');
    writeFileSync(folder + PROGRAM_FILE, text, 'latin1');
    expect(fromCache()).toBe('true');
  });

  it.each([
    ['cut short', (bytes: Uint8Array) => bytes.subarray(0, bytes.length >> 1)],
    ['empty', () => new Uint8Array()],
    [
      'of another V8',
      (bytes: Uint8Array) =>
        bytes.map((b, i) => (i >= headOf(bytes) && i < headOf(bytes) + 32 ? b ^ 0x55 : b)),
    ],
  ])('works with a cache that is %s', (_, spoil) => {
    const good = readFileSync(folder + CACHE_FILE);
    writeFileSync(folder + CACHE_FILE, spoil(good));
    expect(fromCache()).toBe('false');
    expect(run('run', 'seven.s').status).toBe(7);
    writeFileSync(folder + CACHE_FILE, good);
  });

  it('works without a cache', () => {
    rmSync(folder + CACHE_FILE);
    expect(run('run', 'seven.s').status).toBe(7);
  });
});
