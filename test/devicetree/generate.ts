/**
 * Random device tree source for comparisons with dtc: a base tree and a few extensions that override,
 * merge, delete, refer and omit, such that most of what comes out is valid.
 */

import fc from 'fast-check';

const name = fc.constantFrom('a', 'b', 'c', 'dev', 'interrupt-parent', 'parent', 'reg-names', '0', 'x,y_z');
const nodeName = fc.constantFrom('a', 'b', 'n@1', 'n@2', 'soc', 'cpus', 'x,y', 'l-o.n+g_1');
const label = fc.constantFrom('l0', 'l1', 'l2', 'l3', 'l4', 'l5');

const literal = fc.oneof(
  fc.bigInt(0n, 0xffffffffn).map((n) => `0x${n.toString(16)}`),
  fc.integer({ min: 0, max: 99 }).map(String),
  fc.constantFrom('017', '0', '5U', '6L', '7UL', '8LL', '9ULL', "'a'", "'\\n'", "'\\x7f'", "'\\377'"),
);

const binary = ['+', '-', '*', '&', '|', '^', '<<', '>>', '<', '>', '<=', '>=', '==', '!=', '&&', '||'];

/** Expressions over all operators; divisors are literals that are not 0. */
function expressionOf(depth: number): fc.Arbitrary<string> {
  if (depth === 0) return literal;
  const e = expressionOf(depth - 1);
  return fc.oneof(
    literal,
    fc.tuple(fc.constantFrom('-', '~', '!'), e).map(([op, x]) => `${op}(${x})`),
    fc
      .tuple(e, fc.constantFrom(...binary), e, fc.boolean())
      .map(([x, op, y, paren]) => (paren ? `(${x} ${op} ${y})` : `${x} ${op} ${y}`)),
    fc
      .tuple(e, fc.constantFrom('/', '%'), fc.integer({ min: 1, max: 9 }))
      .map(([x, op, n]) => `(${x}) ${op} ${n}`),
    fc.tuple(e, e, e).map(([x, y, z]) => `(${x}) ? ${y} : ${z}`),
  );
}

const expression = expressionOf(4);

const reference = fc.oneof(
  label.map((l) => `&${l}`),
  label.map((l) => `&${l}`),
  fc.constant('&{/}'),
  nodeName.map((n) => `&{/${n}}`),
);

const text = fc
  .array(
    fc.constantFrom(
      'a',
      'Z',
      ' ',
      '\\n',
      '\\t',
      '\\"',
      '\\\\',
      '\\0',
      '\\x41',
      '\\101',
      '/*',
      '//',
      'ä',
      '\n',
    ),
  )
  .map((parts) => `"${parts.join('')}"`);

const value = (plain: boolean) =>
  fc.oneof(
    text,
    fc
      .array(fc.oneof(literal, ...(plain ? [] : [reference])), { maxLength: 5 })
      .map((c) => `<${c.join(' ')}>`),
    expression.map((e) => `/bits/ 64 <(${e})>`),
    fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 5 }).map((c) => `/bits/ 8 <${c.join(' ')}>`),
    fc.array(fc.integer({ min: 0, max: 65535 }), { maxLength: 5 }).map((c) => `/bits/ 16 <${c.join(' ')}>`),
    fc
      .uint8Array({ maxLength: 5 })
      .map((b) => `[${[...b].map((x) => x.toString(16).padStart(2, '0')).join(' ')}]`),
    ...(plain ? [] : [reference]),
  );

const property = fc
  .tuple(name, fc.array(value(false), { maxLength: 3 }))
  .map(([n, values]) => (values.length === 0 ? `${n};` : `${n} = ${values.join(', ')};`));

function bodyOf(depth: number): fc.Arbitrary<string> {
  const properties = fc.uniqueArray(property, { maxLength: 4, selector: (p) => p.split(/[ ;]/)[0] });
  const omit = fc.constantFrom('', '', '', '/omit-if-no-ref/ ');
  const child = depth === 0 ? fc.constant('{ }') : bodyOf(depth - 1);
  const nodes = fc.uniqueArray(fc.tuple(omit, nodeName, child), {
    maxLength: depth === 0 ? 0 : 3,
    selector: ([, n]) => n,
  });
  return fc.tuple(properties, nodes).map(([p, n]) => {
    const children = n.map(([o, own, inner]) => `${o}${own} ${inner};`);
    return `{ ${[...p, ...children].join(' ')} }`;
  });
}

const body = bodyOf(3);

const extension = fc.oneof(
  body.map((b) => `/ ${b};`),
  fc.tuple(label, body).map(([l, b]) => `&${l} ${b};`),
  fc.tuple(nodeName, body).map(([n, b]) => `&{/${n}} ${b};`),
  label.map((l) => `/delete-node/ &${l};`),
  label.map((l) => `/omit-if-no-ref/ &${l};`),
  fc.tuple(nodeName, name).map(([n, p]) => `/ { ${n} { /delete-property/ ${p}; }; };`),
  nodeName.map((n) => `/ { /delete-node/ ${n}; };`),
);

/** Puts each label at one node, in order, and lets references name only labels that exist. */
function withLabels(base: string, extensions: readonly string[]): string[] {
  let count = 0;
  const labelled = base.replace(/(?<=[{;/] )(?=[a-z0-9,@.+_-]+ \{)/gi, () =>
    count < 6 ? `l${count++}: ` : '',
  );
  const paths = [...labelled.matchAll(/(?<=^[^{]*\{[^{]*?|\}; (?:l[0-9]: )?)[a-z@0-9,.+_-]+(?= \{)/gi)].map(
    ([n]) => n,
  );
  // Without labels nothing but the root could be deleted, which we refuse and dtc does not.
  const usable = extensions.filter((e) => count > 0 || !/^\/(delete|omit)/.test(e));
  return [`/ ${labelled};`, ...usable].map((part) =>
    part
      .replace(/&l([0-5])/g, (_, n: string) => (count === 0 ? '&{/}' : `&l${Number(n) % count}`))
      .replace(/&\{\/([^}]+)\}/g, (all, n: string) => (paths.includes(n) ? all : '&{/}')),
  );
}

/** Source text that dtc accepts most of the time. */
export const dtsSource = fc
  .tuple(
    fc.constantFrom(false, false, true),
    fc.array(fc.tuple(literal, literal), { maxLength: 2 }),
    body,
    fc.array(extension, { maxLength: 4 }),
  )
  .map(([plugin, reservations, base, extensions]) => {
    const head = plugin ? '/dts-v1/;\n/plugin/;' : '/dts-v1/;';
    const memreserve = reservations.map(([a, s]) => `/memreserve/ ${a} ${s};`);
    return [head, ...memreserve, ...withLabels(base, extensions), ''].join('\n');
  });
