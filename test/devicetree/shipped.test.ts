import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { InputError, renderDiagnostics } from '../../src/base/index.js';
import {
  compileDts,
  discoverTagStorage,
  discoveryDiagnostic,
  discoveryText,
  findNode,
  type PageSize,
  regEntries,
  strings,
} from '../../src/devicetree/index.js';
import { repoRoot } from './support.js';

const folder = join(repoRoot, 'dts');
const read = (name: string) => ({ name, text: readFileSync(join(folder, name), 'utf8') });
const good = readdirSync(folder).filter((f) => f.endsWith('.dts'));
const broken = readdirSync(join(folder, 'broken')).map((f) => `broken/${f}`);

describe('machines that are shipped', () => {
  it.each(good)('%s describes its tag storage rightly, with no warning of its own', (name) => {
    const { tree, warnings } = compileDts(read(name));
    expect(warnings.map((w) => w.message)).toEqual([]);
    const found = discoverTagStorage(tree, { pageSize: 4096, as: 'binding' });
    expect(found).toMatchObject({ enabled: true, diagnostics: [] });
    expect(discoverTagStorage(tree, { pageSize: 4096, as: 'linux-v3' }).regions).toEqual(found.regions);
    const memory = found.regions.reduce((n, r) => n + r.mem_end_pfn - r.mem_start_pfn + 1, 0);
    const tags = found.regions.reduce((n, r) => n + r.tag_end_pfn - r.tag_start_pfn + 1, 0);
    expect(tags * 32).toBe(memory);
  });

  it.each(good)('%s has the devices where firmware looks for them', (name) => {
    const { tree } = compileDts(read(name));
    const base = (path: string) => regEntries(findNode(tree, path)!)?.map((r) => r.address);
    expect(base('/serial@9000000')).toEqual([0x9000000n]);
    expect(base('/interrupt-controller@8000000')).toEqual([0x8000000n, 0x80a0000n]);
    expect(base('/memory-controller@a100000')).toEqual([0xa100000n]);
    expect(strings(findNode(tree, '/memory-controller@a100000')?.properties.get('compatible'))).toEqual([
      'mtemu,tag-controller',
    ]);
    expect(strings(findNode(tree, '/chosen')?.properties.get('stdout-path'))).toEqual(['/serial@9000000']);
  });

  it('include areas that CMA can lend with 16 and 64 KiB pages', () => {
    const pageblock: [string, PageSize, number][] = [
      ['align-16k.dts', 16384, 32],
      ['align-64k.dts', 65536, 512],
      ['default.dts', 4096, 2],
    ];
    for (const [name, pageSize, mebibytes] of pageblock) {
      const { tree } = compileDts(read(name));
      for (const r of discoverTagStorage(tree, { pageSize, as: 'binding' }).regions) {
        const unit = (mebibytes * 2 ** 20) / pageSize;
        expect([r.tag_start_pfn % unit, (r.tag_end_pfn + 1) % unit]).toEqual([0, 0]);
      }
    }
  });
});

describe('broken trees that teach', () => {
  it.each(broken)('%s', async (name) => {
    const source = read(name);
    let text: string;
    try {
      const { tree, locate } = compileDts(source);
      const found = discoverTagStorage(tree, { pageSize: 4096, as: 'binding' });
      expect(found.enabled).toBe(false);
      const diagnostics = found.diagnostics.map((d) => discoveryDiagnostic(d, source.name, locate));
      text = `${discoveryText(found, 4096)}\n${renderDiagnostics(diagnostics)}\n`;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      text = `${renderDiagnostics(error.diagnostics)}\n`;
    }
    await expect(text).toMatchFileSnapshot(`golden/${name.replace('broken/', '').replace('.dts', '.txt')}`);
  });
});
