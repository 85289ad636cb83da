import { describe, expect, it } from 'vitest';
import { InputError, inputError } from '../../src/base/index.js';
import type { Command, CommandIo } from '../../src/cli/command.js';
import { dtcCommand } from '../../src/cli/dtc.js';
import { tagStorageCommand } from '../../src/cli/tag-storage.js';
import { readDtb, strings } from '../../src/devicetree/index.js';
import { compileBody } from './support.js';

/** Runs a command over files in memory. */
async function run(command: Command, args: string[], files: Record<string, string | Uint8Array>) {
  const out: Uint8Array[] = [];
  const written: Record<string, Uint8Array> = {};
  let stderr = '';
  const bytes = (data: string | Uint8Array) =>
    typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const io: CommandIo = {
    stdout: (data) => {
      out.push(bytes(data));
    },
    stderr: (text) => {
      stderr += text;
    },
    readFile: (path) => {
      if (!Object.hasOwn(files, path)) throw inputError('CLI-READ', `cannot read '${path}'`);
      return bytes(files[path]!);
    },
    writeFile: (path, data) => {
      written[path] = bytes(data);
    },
    color: false,
  };
  const stdout = () => new Uint8Array(Buffer.concat(out));
  try {
    const status = await command.run(args, io);
    return { status, stdout: stdout(), text: new TextDecoder().decode(stdout()), stderr, written, codes: [] };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const codes = error.diagnostics.map((d) => d.code);
    return { status: 2, stdout: stdout(), text: '', stderr, written, codes };
  }
}

const source = '/dts-v1/;\n/ { l: n { a = "x"; }; };\n';
const blob = compileBody('l: n { a = "x"; };').dtb;

describe('mtemu dtc', () => {
  it('takes forms from names, and dtc defaults', async () => {
    expect((await run(dtcCommand, ['t.dts'], { 't.dts': source })).stdout).toEqual(blob);
    expect((await run(dtcCommand, ['t.dtb'], { 't.dtb': blob })).text).toContain('a = "x";');
    expect((await run(dtcCommand, ['t'], { t: blob })).text).toContain('/dts-v1/;');
    expect((await run(dtcCommand, ['t', '-o', 'x.dtb'], { t: source })).written['x.dtb']).toEqual(blob);
    expect(
      (await run(dtcCommand, ['-o', 'x.dts', 't.dts'], { 't.dts': source })).written['x.dts'],
    ).toBeDefined();
  });

  it('takes short options apart and attached', async () => {
    for (const args of [
      ['-I', 'dts', '-O', 'json', 'f'],
      ['-Idts', '-Ojson', 'f'],
    ]) {
      const { text } = await run(dtcCommand, args, { f: source });
      expect(JSON.parse(text)).toEqual({ memreserve: [], tree: { '/': {}, '/n': { a: '7800' } } });
    }
    const { stdout } = await run(dtcCommand, ['-@', '-b', '0x10', 't.dts'], { 't.dts': source });
    const tree = readDtb(stdout);
    expect(tree.bootCpuidPhys).toBe(16);
    expect(strings(tree.root.child('__symbols__')?.properties.get('l'))).toEqual(['/n']);
  });

  it('finds includes beside the including file first, then in -i directories', async () => {
    const files = {
      'a/t.dts': '/dts-v1/;\n/ { /include/ "p.dtsi"\n/include/ "q.dtsi"\n b = /incbin/("bin"); };\n',
      'a/p.dtsi': 'p = "beside";',
      'inc/p.dtsi': 'p = "searched";',
      'inc/q.dtsi': 'q = /incbin/("bin");',
      'inc/bin': 'I',
      'a/bin': 'A',
    };
    const { stdout } = await run(dtcCommand, ['-i', 'none', '-i', 'inc', 'a/t.dts'], files);
    const { properties } = readDtb(stdout).root;
    expect(strings(properties.get('p'))).toEqual(['beside']);
    expect([strings(properties.get('q')), strings(properties.get('b'))]).toEqual([['I'], ['A']]);
  });

  it('warns on stderr, is told not to, or takes a warning for an error', async () => {
    const files = { 't.dts': '/dts-v1/;\n/ { n@1 { }; };\n' };
    expect((await run(dtcCommand, ['t.dts'], files)).stderr).toContain('warning[unit_address_vs_reg]');
    expect((await run(dtcCommand, ['-q', 't.dts'], files)).stderr).toBe('');
    expect((await run(dtcCommand, ['-W', 'no-unit_address_vs_reg', 't.dts'], files)).stderr).toBe('');
    const strict = await run(dtcCommand, ['-E', 'unit_address_vs_reg', '-o', 'x', 't.dts'], files);
    expect(strict).toMatchObject({ status: 2, codes: ['unit_address_vs_reg'], written: {} });
  });

  it('leaves no output behind an error', async () => {
    for (const text of ['/dts-v1/;\n/ { a = <1> };\n', '/dts-v1/;\n/ { a = <&x>; };\n']) {
      const result = await run(dtcCommand, ['-o', 'x.dtb', 't.dts'], { 't.dts': text });
      expect(result).toMatchObject({ status: 2, written: {} });
      expect(result.stdout).toHaveLength(0);
    }
    expect((await run(dtcCommand, ['-I', 'dtb', 't.dts'], { 't.dts': source })).codes).toEqual(['FDT-MAGIC']);
  });

  it('leaves room in the blob, and says when --space is less than the blob', async () => {
    const size = async (...options: string[]) => {
      const { stdout } = await run(dtcCommand, [...options, 't.dts'], { 't.dts': source });
      expect(new DataView(stdout.buffer).getUint32(4)).toBe(stdout.length);
      expect(readDtb(stdout).root.child('n')).toBeDefined();
      return stdout.length - blob.length;
    };
    expect(await size('-p', '010')).toBe(8);
    expect(await size('-R', '2')).toBe(32);
    expect(await size('-S', '0x1000')).toBe(0x1000 - blob.length);
    expect((blob.length + (await size('-a', '64'))) % 64).toBe(0);
    expect((blob.length + (await size('-p', '1', '-a', '64'))) % 64).toBe(0);
    expect(await size('-S', '1')).toBe(0);
    expect((await run(dtcCommand, ['-S', '1', 't.dts'], { 't.dts': source })).stderr).toContain('--space 1');
    expect((await run(dtcCommand, ['-q', '-S', '1', 't.dts'], { 't.dts': source })).stderr).toBe('');
  });

  it('adds aliases, names phandles, sorts', async () => {
    const text = '/dts-v1/;\n/ { b = <&m>; a; m: z { }; n: y { }; aliases { n = "/y"; }; };\n';
    const json = async (...options: string[]) => {
      const result = await run(dtcCommand, [...options, '-O', 'json', 't.dts'], { 't.dts': text });
      return { tree: JSON.parse(result.text).tree as Record<string, object>, stderr: result.stderr };
    };
    const aliases = await json('-A');
    expect(Object.keys(aliases.tree['/aliases']!)).toEqual(['n', 'm']);
    expect(aliases.stderr).toContain('/aliases: label n already exists');
    expect(Object.keys((await json('-H', 'legacy')).tree['/z']!)).toEqual(['linux,phandle']);
    expect(Object.keys((await json('-H', 'both')).tree['/z']!)).toEqual(['linux,phandle', 'phandle']);
    const sorted = await json('-s');
    expect(Object.keys(sorted.tree)).toEqual(['/', '/aliases', '/y', '/z']);
    expect(Object.keys(sorted.tree['/']!)).toEqual(['a', 'b']);
  });

  it('writes what errors leave with -f, nothing with -O null, and lists the files used with -d', async () => {
    const files = {
      'bad.dts': '/dts-v1/;\n/ { a = <&gone>; };\n',
      'inc.dts': '/dts-v1/;\n/include/ "x.dtsi"\n',
      'x.dtsi': '/ { a = /incbin/("bin"); };',
      bin: 'B',
    };
    const forced = await run(dtcCommand, ['-f', 'bad.dts'], files);
    expect(forced.status).toBe(0);
    expect(forced.stderr).toContain('error[phandle_references]');
    expect(readDtb(forced.stdout).root.properties.get('a')).toEqual(Uint8Array.of(255, 255, 255, 255));
    expect((await run(dtcCommand, ['-qq', '-f', 'bad.dts'], files)).stderr).toBe('');
    expect(await run(dtcCommand, ['-qq', 'bad.dts'], files)).toMatchObject({
      status: 2,
      codes: [],
      stderr: '',
    });
    const none = await run(dtcCommand, ['-O', 'null', '-o', 'n', 'inc.dts'], files);
    expect(none).toMatchObject({ status: 0, written: {} });
    const listed = await run(dtcCommand, ['-o', 'o.dtb', '-d', 'dep', 'inc.dts'], files);
    expect(new TextDecoder().decode(listed.written['dep'])).toBe('o.dtb: inc.dts x.dtsi bin\n');
  });

  it.each([
    [[]],
    [['-R', 'x', 'a.dts']],
    [['a.dts', 'b.dts']],
    [['-O', 'elf', 'a.dts']],
    [['-b', 'x', 'a.dts']],
    [['-b', '0x100000000', 'a.dts']],
    [['-W', 'no-such-check', 'a.dts']],
    [['--nonsense', 'a.dts']],
  ])('refuses usage %j', async (args) => {
    expect(await run(dtcCommand, args, { 'a.dts': source, 'b.dts': source })).toMatchObject({
      status: 2,
      codes: ['CLI-USAGE'],
    });
  });
});

describe('mtemu tag-storage', () => {
  const tree = (tag: string) => `/dts-v1/;
/ {
	#address-cells = <1>; #size-cells = <1>;
	m: memory@80000000 { device_type = "memory"; reg = <0x80000000 0x10000000>; };
	memory@90000000 { device_type = "memory"; reg = <0x90000000 0x800000>; };
	reserved-memory { #address-cells = <1>; #size-cells = <1>; ranges;
		${tag}
	};
};
`;
  const node = (block: string) =>
    `t@90000000 { compatible = "arm,mte-tag-storage"; reg = <0x90000000 0x800000>;
			${block} tagged-memory = <&m>; reusable; };`;
  const files = {
    'good.dts': tree(node('block-size = <0x1000>;')),
    'bad.dts': tree(node('block-size = <0x800>;')),
    'none.dts': tree(''),
  };

  it('gives JSON with exactly the promised keys', async () => {
    const { status, text } = await run(
      tagStorageCommand,
      ['--json', '--page-size', '16k', 'good.dts'],
      files,
    );
    expect(status).toBe(0);
    expect(JSON.parse(text)).toEqual({
      enabled: true,
      reason: 'accepted',
      regions: [
        {
          node: 't@90000000',
          memory_node: '/memory@80000000',
          mem_start_pfn: 0x20000,
          mem_end_pfn: 0x23fff,
          tag_start_pfn: 0x24000,
          tag_end_pfn: 0x241ff,
          block_size_pages: 1,
        },
      ],
      diagnostics: [],
    });
  });

  it('exits 1 where it is disabled, 0 where nothing is described', async () => {
    const bad = await run(tagStorageCommand, ['bad.dts'], files);
    expect(bad.status).toBe(1);
    expect(bad.text).toContain('tag storage: disabled');
    expect(bad.stderr).toContain('--> bad.dts:8:4');
    expect(bad.stderr).toContain('why it matters:');
    expect((await run(tagStorageCommand, ['none.dts'], files)).status).toBe(0);
    expect((await run(tagStorageCommand, ['--as', 'linux-v3', 'bad.dts'], files)).status).toBe(0);
  });

  it('reads blobs, and says in words what it found', async () => {
    const { stdout } = await run(dtcCommand, ['good.dts'], files);
    const { status, text } = await run(tagStorageCommand, ['x.dtb'], { 'x.dtb': stdout });
    expect(status).toBe(0);
    expect(text).toContain('block  4 KiB, serves 128 KiB');
  });

  it('refuses wrong usage and wrong input', async () => {
    expect((await run(tagStorageCommand, ['--as', 'v2', 'good.dts'], files)).codes).toEqual(['CLI-USAGE']);
    expect((await run(tagStorageCommand, ['--page-size', '8k', 'good.dts'], files)).codes).toEqual([
      'CLI-USAGE',
    ]);
    expect((await run(tagStorageCommand, ['gone.dts'], files)).codes).toEqual(['CLI-READ']);
    expect((await run(tagStorageCommand, ['x.dtb'], { 'x.dtb': 'text' })).codes).toEqual(['FDT-MAGIC']);
  });
});
