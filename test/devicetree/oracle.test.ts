import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type BlobVersion,
  checkBlobTree,
  compileDts,
  discoverTagStorage,
  type PhandleFormat,
  printDts,
  readDtb,
  sortTree,
  writeDtb,
} from '../../src/devicetree/index.js';
import { dtsSource } from './generate.js';
import { errorsOf, hasDtc, placeOf, repoRoot, sameBytes, treeDigest } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'mtemu-dtc-'));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

function dtc(...args: string[]): { status: number | null; stderr: string } {
  const { status, stderr } = spawnSync('dtc', args, { cwd: folder, timeout: 10_000 });
  return { status, stderr: stderr.toString('latin1') };
}

describe.skipIf(!hasDtc)('against the installed dtc [needs dtc 1.6.1]', () => {
  it('random sources give the same blob or the same first error', () => {
    const seen = { same: 0, refused: 0 };
    fc.assert(
      fc.property(dtsSource, fc.boolean(), (text, symbols) => {
        writeFileSync(at('r.dts'), text);
        const { status, stderr } = dtc('-q', ...(symbols ? ['-@'] : []), '-o', 'r.dtb', 'r.dts');
        let blob: Uint8Array | undefined;
        const [error] = errorsOf(() => {
          blob = compileDts({ name: 'r.dts', text }, { symbols }).dtb;
        });
        if (status === 0) {
          expect(blob).toEqual(new Uint8Array(readFileSync(at('r.dtb'))));
          seen.same++;
          return;
        }
        const [, line, column] = /^(?:Error: |Lexical error: )?r\.dts:(\d+)\.(\d+)/m.exec(stderr)!;
        expect(placeOf(error!)).toEqual({ file: 'r.dts', line: Number(line), column: Number(column) });
        seen.refused++;
      }),
      { numRuns: 150 },
    );
    expect(seen.same).toBeGreaterThan(50);
  });

  it('random sources give the same blob under every option that shapes one', () => {
    let same = 0;
    const flag = (word: string) => fc.constantFrom('', '', word);
    const options = fc.record({
      symbols: flag('-@'),
      aliases: flag('-A'),
      sort: flag('-s'),
      phandles: fc.constantFrom('epapr', 'epapr', 'legacy', 'both'),
      version: fc.constantFrom(1, 2, 3, 16, 17),
      spare: fc.constantFrom(0, 3),
      room: fc.constantFrom('', '-p13', '-S3000'),
      align: fc.constantFrom(1, 8, 64),
    });
    fc.assert(
      fc.property(dtsSource, options, (text, o) => {
        writeFileSync(at('o.dts'), text);
        const flags = [o.symbols, o.aliases, o.sort, o.room].filter((word) => word !== '');
        const shape = [`-H${o.phandles}`, `-V${o.version}`, `-R${o.spare}`, `-a${o.align}`];
        if (dtc('-q', ...flags, ...shape, '-o', 'o.dtb', 'o.dts').status !== 0) return;
        const { tree } = compileDts(
          { name: 'o.dts', text },
          {
            symbols: o.symbols !== '',
            aliases: o.aliases !== '',
            phandleFormat: o.phandles as PhandleFormat,
          },
        );
        if (o.sort !== '') sortTree(tree);
        const blob = writeDtb(tree, {
          version: o.version as BlobVersion,
          spareReservations: o.spare,
          align: o.align,
          ...(o.room === '-p13' ? { padding: 13 } : o.room === '' ? {} : { atLeast: 3000 }),
        });
        expect({ flags, same: sameBytes(blob, readFileSync(at('o.dtb'))) }).toEqual({ flags, same: true });
        same++;
      }),
      { numRuns: 150 },
    );
    expect(same).toBeGreaterThan(50);
  });

  it('counts phandles on where nodes that had one were left out', () => {
    const text =
      '/dts-v1/;\n/ { r = <&l1 &l3>; /omit-if-no-ref/ o { l1: p { }; }; l2: q { }; l3: s { }; };\n';
    writeFileSync(at('c.dts'), text);
    expect(dtc('-q', '-@', '-o', 'c.dtb', 'c.dts').status).toBe(0);
    const { dtb } = compileDts({ name: 'c.dts', text }, { symbols: true });
    expect(sameBytes(dtb, readFileSync(at('c.dtb')))).toBe(true);
  });

  it('warns of the shipped machines exactly where dtc does', () => {
    for (const name of readdirSync(join(repoRoot, 'dts')).filter((f) => f.endsWith('.dts'))) {
      const text = readFileSync(join(repoRoot, 'dts', name), 'utf8');
      writeFileSync(at(name), text);
      const { status, stderr } = dtc('-o', 'shipped.dtb', name);
      expect({ name, status }).toEqual({ name, status: 0 });
      const compiled = compileDts({ name, text });
      expect(compiled.dtb).toEqual(new Uint8Array(readFileSync(at('shipped.dtb'))));
      const theirs = [...stderr.matchAll(/:(\d+)\.(\d+)-\S+: Warning \((\w+)\)/g)].map((m) =>
        m.slice(1, 4).join(' '),
      );
      const ours = compiled.warnings.map((w) => `${placeOf(w)?.line} ${placeOf(w)?.column} ${w.code}`);
      expect(ours).toEqual(theirs);
    }
  });

  it('reads versions 1, 2, 3, 16 and 17 as one tree', () => {
    const text = readFileSync(join(repoRoot, 'dts/default.dts'), 'utf8');
    const wanted = treeDigest(compileDts({ name: 'default.dts', text }).tree);
    writeFileSync(at('v.dts'), text);
    for (const version of ['1', '2', '3', '16', '17']) {
      expect(dtc('-q', '-V', version, '-o', 'v.dtb', 'v.dts').status).toBe(0);
      expect(treeDigest(checkBlobTree(readDtb(readFileSync(at('v.dtb')))).tree)).toBe(wanted);
    }
  });

  it('prints source that dtc compiles to the same blob', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ maxLength: 12 }), (a, b) => {
        const hexOf = (x: Uint8Array) => [...x].map((v) => v.toString(16).padStart(2, '0')).join('');
        const text = `/dts-v1/;\n/ { a = [${hexOf(a)}]; n@1 { b = [${hexOf(b)}00]; }; };\n`;
        const { tree } = compileDts({ name: 'p.dts', text });
        writeFileSync(at('p.dts'), printDts(tree));
        expect(dtc('-q', '-o', 'p.dtb', 'p.dts').status).toBe(0);
        expect(new Uint8Array(readFileSync(at('p.dtb')))).toEqual(writeDtb(tree));
      }),
      { numRuns: 60 },
    );
  });
});

const hasDtValidate = spawnSync('dt-validate', ['--version']).status === 0;

describe.skipIf(!hasDtValidate)('against the schema of the binding [needs dt-validate]', () => {
  const bindings = join(repoRoot, 'dts/bindings');
  const validate = (folderName: string) => {
    const directory = join(repoRoot, folderName);
    const files = readdirSync(directory).filter((f) => f.endsWith('.dts'));
    const blobs = files.flatMap((name) => {
      try {
        writeFileSync(
          at(`${name}.dtb`),
          compileDts({ name, text: readFileSync(join(directory, name), 'utf8') }).dtb,
        );
        return [`${name}.dtb`];
      } catch {
        return [];
      }
    });
    const { stdout, stderr } = spawnSync('dt-validate', ['-s', bindings, ...blobs], { cwd: folder });
    return `${stdout}${stderr}`.split('\n').filter((l) => l.includes('.dtb: '));
  };

  it('accepts the shipped machines', () => {
    expect(validate('dts')).toEqual([]);
  });

  it('sees the flaws that a schema can see, and only those', () => {
    const flawed = validate('dts/broken').map((l) => l.split('.dts.dtb')[0]!.split('/').pop());
    expect([...new Set(flawed)].sort()).toEqual(['block-size', 'overlap', 'v2-property']);
  });
});

const real = process.env['MTEMU_REAL_DTBS'];

function blobsIn(directory: string): string[] {
  return readdirSync(directory).flatMap((entry) => {
    const path = join(directory, entry);
    if (statSync(path).isDirectory()) return blobsIn(path);
    return path.endsWith('.dtb') ? [path] : [];
  });
}

describe.skipIf(real === undefined || !existsSync(real))(
  'trees of real boards [needs a folder of blobs in MTEMU_REAL_DTBS]',
  () => {
    it('read, survive printing, and describe no tag storage', () => {
      const files = blobsIn(real!);
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const tree = readDtb(readFileSync(file), file);
        const again = compileDts({ name: file, text: printDts(tree) }, { bootCpuid: tree.bootCpuidPhys });
        expect({ file, same: sameBytes(again.dtb, writeDtb(tree)) }).toEqual({ file, same: true });
        for (const as of ['binding', 'linux-v3'] as const) {
          const found = discoverTagStorage(tree, { pageSize: 4096, as });
          expect({ file, described: found.described }).toEqual({ file, described: false });
        }
      }
    });

    it.skipIf(!hasDtc)('make dtc write the tree that we read [needs dtc 1.6.1]', () => {
      for (const file of blobsIn(real!)) {
        expect(dtc('-q', '-I', 'dtb', '-O', 'dtb', '-o', 'real.dtb', file).status).toBe(0);
        const { tree } = checkBlobTree(readDtb(readFileSync(file), file));
        const same = sameBytes(writeDtb(tree), readFileSync(at('real.dtb')));
        expect({ file, same }).toEqual({ file, same: true });
      }
    });
  },
);
