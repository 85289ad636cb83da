import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileDts, discoverTagStorage, readDtb, toJson } from '../../src/devicetree/index.js';
import { diskLoaders, errorsOf, placeOf, sha256, treeDigest, vectorFolder } from './support.js';

const present = existsSync(vectorFolder);
const load = <T>(folder: string): T[] =>
  present ? JSON.parse(readFileSync(join(vectorFolder, folder, 'index.json'), 'utf8')).cases : [];
const bytes = (folder: string, file: string) =>
  new Uint8Array(readFileSync(join(vectorFolder, folder, file)));
const source = (folder: string, file: string) => {
  const name = join(vectorFolder, folder, file);
  return { name, text: readFileSync(name) };
};

interface Valid {
  name: string;
  dts: string;
  sha256: string;
  sha256_symbols: string;
  memreserve: [string, string][];
  tree: Record<string, Record<string, string>>;
  tree_digest: string;
}
interface Invalid {
  name: string;
  dts: string;
  location: { file: string; line: number; col: number } | null;
}
interface Blob {
  name?: string;
  file: string;
  verdict?: 'accept' | 'reject' | 'either';
  tree_digest?: string;
}
interface Area {
  node: string;
  memory_node: string;
}
interface Expected {
  enabled: boolean;
  reason: string;
  regions: Area[];
}
interface Binding {
  name: string;
  dts: string;
  dtb: string;
  expected: Expected;
  expected_16k?: Expected;
  expected_64k?: Expected;
  binding_conformant: boolean;
}

describe.skipIf(!present)('shared vectors [needs ../shared/vectors beside the checkout]', () => {
  const valid = load<Valid>('dts-valid');
  const invalid = load<Invalid>('dts-invalid');
  const malformed = [...load<Blob>('malformed').map((c) => ({ ...c, folder: 'malformed' }))];
  const variants = [...load<Blob>('dtb-variants').map((c) => ({ ...c, folder: 'dtb-variants' }))];
  const binding = load<Binding>('binding');

  it.each(valid.map((c) => [c.name, c] as const))('compiles %s', (_, c) => {
    const file = source('dts-valid', c.dts);
    const plain = compileDts(file, diskLoaders);
    expect(sha256(plain.dtb)).toBe(c.sha256);
    expect(sha256(compileDts(file, { ...diskLoaders, symbols: true }).dtb)).toBe(c.sha256_symbols);
    expect(JSON.parse(toJson(plain.tree))).toEqual({ memreserve: c.memreserve, tree: c.tree });
    expect(treeDigest(readDtb(plain.dtb))).toBe(c.tree_digest);
  });

  it.each(invalid.map((c) => [c.name, c] as const))('refuses %s', (_, c) => {
    const folder = join(vectorFolder, 'dts-invalid');
    const here = (path: string) => join(folder, path);
    const found = errorsOf(() =>
      compileDts(
        { name: c.dts, text: readFileSync(here(c.dts)) },
        {
          include: (path) =>
            existsSync(here(path)) ? { name: path, text: readFileSync(here(path)) } : undefined,
          incbin: () => undefined,
        },
      ),
    );
    expect(found[0]?.severity).toBe('error');
    if (c.location === null) return;
    const { file, line, col } = c.location;
    expect(placeOf(found[0]!)).toEqual({ file, line, column: col });
  });

  it.each([...malformed, ...variants].map((c) => [c.file, c] as const))('judges blob %s', (_, c) => {
    let digest: string | undefined;
    const errors = errorsOf(() => {
      digest = treeDigest(readDtb(bytes(c.folder, c.file)));
    });
    const verdict = c.verdict ?? 'accept';
    if (verdict === 'accept') expect(errors).toEqual([]);
    if (verdict === 'reject') expect(errors.length).toBeGreaterThan(0);
    if (digest !== undefined && c.tree_digest !== undefined) expect(digest).toBe(c.tree_digest);
  });

  it.each(binding.map((c) => [c.name, c] as const))('discovers %s', (_, c) => {
    const tree = readDtb(bytes('binding', c.dtb));
    const cases = [
      [4096, c.expected],
      [16384, c.expected_16k],
      [65536, c.expected_64k],
    ] as const;
    for (const [pageSize, expected] of cases) {
      if (expected === undefined) continue;
      const { enabled, reason, regions } = discoverTagStorage(tree, { pageSize, as: 'linux-v3' });
      expect({ enabled, reason, regions }).toEqual({
        enabled: expected.enabled,
        reason: expected.reason,
        regions: expected.regions,
      });
    }
    const strict = discoverTagStorage(tree, { pageSize: 4096, as: 'binding' });
    expect(strict.enabled).toBe(c.binding_conformant);
    if (strict.enabled) expect(strict.regions).toEqual(c.expected.regions);
    expect(compileDts(source('binding', c.dts)).dtb).toEqual(bytes('binding', c.dtb));
  });
});
