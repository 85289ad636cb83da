import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DeviceTree, DtNode, printDts, readDtb, toJson, writeDtb } from '../../src/devicetree/index.js';
import { compile, compileBody, errorsOf } from './support.js';

const names = fc
  .stringMatching(/^[a-zA-Z0-9,._+-]{1,12}$/)
  .filter((n) => !/^(phandle|linux,phandle|name)$/.test(n));
const values = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.array(fc.stringMatching(/^[ -~\t\n]{0,8}$/), { maxLength: 3 }).map((s) => {
    return new TextEncoder().encode(s.map((x) => `${x}\0`).join(''));
  }),
);
interface Shape {
  readonly properties: [string, Uint8Array][];
  readonly children: [string, Shape][];
}
function shapes(depth: number): fc.Arbitrary<Shape> {
  const properties = fc.uniqueArray(fc.tuple(names, values), { maxLength: 5, selector: ([n]) => n });
  const child: fc.Arbitrary<Shape> =
    depth === 0 ? fc.constant({ properties: [], children: [] }) : shapes(depth - 1);
  const children = fc.uniqueArray(fc.tuple(names, child), {
    maxLength: depth === 0 ? 0 : 3,
    selector: ([n]) => n,
  });
  return fc.record({ properties, children });
}
function fill(node: DtNode, shape: Shape): void {
  for (const [name, value] of shape.properties) node.properties.set(name, value);
  for (const [name, inner] of shape.children) {
    const child = new DtNode(name, node);
    node.children.push(child);
    fill(child, inner);
  }
}
const trees = shapes(3).map((shape): DeviceTree => {
  const root = new DtNode('');
  fill(root, shape);
  return { memreserve: [{ address: 16n, size: 2n ** 64n - 1n }], bootCpuidPhys: 0, root };
});

describe('printed source', () => {
  it('compiles to the same blob, whatever the values are', () => {
    fc.assert(
      fc.property(trees, (tree) => {
        expect(compile(printDts(tree)).dtb).toEqual(writeDtb(tree));
      }),
      { numRuns: 200 },
    );
  });

  it('keeps a NUL before a digit, which dtc loses', () => {
    const value = new TextEncoder().encode(`a\u0000${'01'}\u0000`);
    const { tree } = compileBody(`a = [${[...value].map((b) => b.toString(16).padStart(2, '0')).join('')}];`);
    expect(printDts(tree)).toContain('a = "a", "01";');
    expect(compile(printDts(tree)).dtb).toEqual(writeDtb(tree));
  });

  it('says the boot CPU in a comment', () => {
    const { tree } = compileBody('a;', { bootCpuid: 0x100 });
    expect(printDts(tree)).toContain('compile with -b 0x100');
    expect(readDtb(compile(printDts(tree), { bootCpuid: 0x100 }).dtb).bootCpuidPhys).toBe(0x100);
  });

  it('refuses names that source cannot hold', () => {
    const { tree } = compileBody('a;');
    tree.root.children.push(new DtNode('sp ace', tree.root));
    expect(errorsOf(() => printDts(tree))[0]).toMatchObject({ code: 'DTS-PRINT' });
  });
});

describe('JSON', () => {
  it('keeps document order, also for names that look like numbers', () => {
    const { tree } = compile(
      '/dts-v1/;\n/memreserve/ 0x10 0x20;\n/ { b = <1>; 0 = "x"; a; z { }; 1 { }; };\n',
    );
    expect(toJson(tree).replace(/\s+/g, '')).toBe(
      '{"memreserve":[["10","20"]],"tree":{"/":{"b":"00000001","0":"7800","a":""},"/z":{},"/1":{}}}',
    );
  });
});
