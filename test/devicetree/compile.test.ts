import { describe, expect, it } from 'vitest';
import { positionOf } from '../../src/base/index.js';
import { compileDts, findNode, readDtb, strings, u32 } from '../../src/devicetree/index.js';
import cases from './fixtures/cases.json' with { type: 'json' };
import { files, invalid, sourceOf, valid } from './fixtures/sources.mjs';
import { base64, compile, compileBody, errorsOf, memoryLoaders, placeOf } from './support.js';

const loaders = memoryLoaders(files);

describe('blobs equal to those of dtc 1.6.1', () => {
  it.each(Object.entries(cases.valid))('%s', (name, { dtb, symbols }) => {
    const source = { name: 'case.dts', text: sourceOf(valid[name]!) };
    expect(compileDts(source, loaders).dtb).toEqual(base64(dtb));
    expect(compileDts(source, { ...loaders, symbols: true }).dtb).toEqual(base64(symbols));
  });
});

describe('errors where dtc 1.6.1 tells them', () => {
  it.each(Object.entries(cases.invalid))('%s', (name, { errors, status }) => {
    const source = { name: 'case.dts', text: sourceOf(invalid[name]!) };
    const found = errorsOf(() => compileDts(source, loaders)).filter((d) => d.severity === 'error');
    expect(found.length).toBeGreaterThan(0);
    const places = found.map((d) => ({ ...placeOf(d), check: status === 2 ? d.code : null }));
    // dtc stops at the first check that fails; ours go on, so theirs come first and in order.
    expect(places.slice(0, errors.length)).toEqual(errors);
    if (status === 1 && errors.length > 0) expect(places).toHaveLength(errors.length);
  });
});

describe('what the compiler says', () => {
  it('names what was expected, what to do, and near misses', () => {
    const [syntax] = errorsOf(() => compileBody('a = <1> b;'));
    expect(syntax).toMatchObject({ code: 'DTS-SYNTAX' });
    expect(syntax?.message).toContain("';'");
    const [unknown] = errorsOf(() => compileBody('memory0: m { }; a { r = <&memroy0>; };'));
    expect(unknown).toMatchObject({ code: 'phandle_references', help: 'did you mean &memory0?' });
  });

  it('notes every body of a node that is defined in several', () => {
    const [first] = errorsOf(() => compile('/dts-v1/;\n/ { n { }; };\n/ { n { a = <&x>; }; };\n'));
    expect(first?.notes).toEqual(["in property 'a' at test.dts:3:14", 'also defined at test.dts:3:7']);
  });

  it('gives a missing file and a bad escape a place, which dtc does not', () => {
    const [include] = errorsOf(() => compileBody('\n/include/ "gone.dtsi"'));
    expect(include).toMatchObject({ code: 'DTS-INCLUDE', message: 'Couldn\'t open "gone.dtsi"' });
    expect(placeOf(include!)).toEqual({ file: 'test.dts', line: 3, column: 1 });
    const [badEscape] = errorsOf(() => compileBody('a = "ok\\xzz";'));
    expect(placeOf(badEscape!)).toEqual({ file: 'test.dts', line: 2, column: 12 });
  });

  it('locates nodes and properties of the finished tree', () => {
    const { locate } = compile('/dts-v1/;\n/ {\n\tn {\n\t\ta = <1>;\n\t};\n};\n');
    expect(positionOf(locate('/n', 'a')!)).toMatchObject({ line: 4, column: 3 });
    expect(positionOf(locate('/n')!)).toMatchObject({ line: 3, column: 4 });
    expect(locate('/gone')).toBeUndefined();
  });
});

describe('where we differ from dtc on purpose', () => {
  it('ends a backslash character at its quote', () => {
    const { tree } = compileBody("a = <'\\\\' 'a'>;");
    expect([...tree.root.properties.get('a')!]).toEqual([0, 0, 0, 0x5c, 0, 0, 0, 0x61]);
  });

  it('refuses to delete the root, and bytes that belong to no token', () => {
    expect(errorsOf(() => compile('/dts-v1/;\n/ { };\n/delete-node/ &{/};\n'))[0]?.code).toBe('DTS-ROOT');
    expect(errorsOf(() => compile('/dts-v1/;\n/ { };\n\u00e9\n'))[0]?.code).toBe('DTS-SYNTAX');
    expect(errorsOf(() => compile('/dts-v1/;\n/ { };\n\0\n'))[0]?.code).toBe('DTS-SYNTAX');
  });

  it('runs on to independent checks after one has failed', () => {
    const found = errorsOf(() => compileBody('a@1 = <1>; n { }; n { }; l: x { }; l: y { };'));
    expect(found.map((d) => d.code)).toEqual([
      'duplicate_node_names',
      'property_name_chars',
      'duplicate_label',
    ]);
  });
});

describe('source text', () => {
  it('keeps bytes that are not UTF-8, and counts them as single columns', () => {
    const text = Uint8Array.from([...'/dts-v1/;\n/ { a = "'].map((c) => c.charCodeAt(0)).concat(0xe9, 0xff));
    const rest = (s: string) => Uint8Array.from([...text, ...new TextEncoder().encode(s)]);
    const { tree } = compileDts({ name: 'x.dts', text: rest('"; };\n') });
    expect([...tree.root.properties.get('a')!]).toEqual([0xe9, 0xff, 0]);
    const [error] = errorsOf(() => compileDts({ name: 'x.dts', text: rest('" b; };\n') }));
    expect(placeOf(error!)).toEqual({ file: 'x.dts', line: 2, column: 14 });
  });

  it('takes names that JavaScript objects have', () => {
    const { tree } = compileBody('__proto__ = "x"; constructor; toString { hasOwnProperty = <1>; };');
    expect([...tree.root.properties.keys()]).toEqual(['__proto__', 'constructor']);
    expect(strings(tree.root.properties.get('__proto__'))).toEqual(['x']);
    expect(u32(findNode(tree, '/toString')?.properties.get('hasOwnProperty'))).toBe(1);
  });

  it('finds included files from where the including file is', () => {
    const seen: string[] = [];
    compileBody('/include/ "a/one.dtsi"', {
      include: (path, from) => {
        seen.push(`${path} from ${from}`);
        return { name: `dir/${path}`, text: path === 'two.dtsi' ? 'x;' : '/include/ "two.dtsi"' };
      },
    });
    expect(seen).toEqual(['a/one.dtsi from test.dts', 'two.dtsi from dir/a/one.dtsi']);
  });
});

describe('hostile and large source', () => {
  it('stops a file that includes itself, and files that multiply', () => {
    const loop = { include: () => ({ name: 'self.dtsi', text: '/include/ "self.dtsi"\n' }) };
    expect(errorsOf(() => compileBody('/include/ "self.dtsi"', loop))[0]?.message).toBe(
      'Includes nested too deeply',
    );
    const twice = {
      include: (path: string) => {
        const level = Number.parseInt(path, 10);
        const text = level === 40 ? '' : `/include/ "${level + 1}"\n/include/ "${level + 1}"\n`;
        return { name: path, text };
      },
    };
    expect(errorsOf(() => compileBody('/include/ "1"', twice))[0]?.code).toBe('DTS-INCLUDE');
  });

  it('evaluates ten thousand nested parentheses and chained operators', () => {
    const deep = `${'('.repeat(10_000)}1${')'.repeat(10_000)}`;
    const unary = `(${'-~'.repeat(10_000)}0)`;
    const choice = `(${'0 ? 1 : '.repeat(10_000)}7)`;
    const { tree } = compileBody(`a = <${deep} ${unary} ${choice}>;`);
    const view = new DataView(tree.root.properties.get('a')!.buffer);
    expect([view.getUint32(0), view.getUint32(4), view.getUint32(8)]).toEqual([1, 10_000, 7]);
    expect(errorsOf(() => compileBody(`a = <${'('.repeat(10_000)}>;`))[0]?.code).toBe('DTS-SYNTAX');
  });

  it('limits nesting, not the number of siblings', () => {
    const nest = (n: number) => `${'n { '.repeat(n)}${'}; '.repeat(n)}`;
    expect(readDtb(compileBody(nest(1000)).dtb).root.children).toHaveLength(1);
    expect(errorsOf(() => compileBody(nest(100_000)))[0]?.code).toBe('DTS-DEPTH');
    const siblings = Array.from({ length: 30_000 }, (_, i) => `n${i} { };`).join('\n');
    expect(compileBody(siblings).tree.root.children).toHaveLength(30_000);
  });

  it('tells a thousand errors at most', () => {
    const cells = '0x100000000 '.repeat(5000);
    expect(errorsOf(() => compileBody(`a = <${cells}>;`))).toHaveLength(1000);
    const references = Array.from({ length: 3000 }, (_, i) => `a${i} = &none${i};`).join(' ');
    expect(errorsOf(() => compileBody(references)).length).toBeLessThan(1100);
  });

  it('does work in proportion to the size of the file', () => {
    const source = (n: number) => {
      const nodes = Array.from(
        { length: n },
        (_, i) => `\tl${i}: dev@${i} { reg = <${i} (1 + ${i})>; s = "a", [00 ff]; r = <&l${i >> 1}>; };\n`,
      );
      return `/dts-v1/;\n/ {\n#address-cells = <1>; #size-cells = <1>;\n${nodes.join('')}};\n`;
    };
    const small = compile(source(500), { symbols: true }).work;
    const large = compile(source(4000), { symbols: true }).work;
    expect(large.tokens / small.tokens).toBeLessThan(8.5);
    expect(large.looks / small.looks).toBeLessThan(8.5);
    expect(large.characters / small.characters).toBeLessThan(9.5);
    expect(large.looks / large.tokens).toBeLessThan(6);
  });
});
