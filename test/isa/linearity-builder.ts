/**
 * A builder that computes nothing and checks how semantics use it: the rules at the head of
 * isa/builder.ts, for values that are opaque tokens.
 *
 * - A value is used at most once unless it was named with `let`.
 * - An unnamed value that read registers or flags is not used after one of them was written, and an
 *   unnamed result of an effect (a load, a system register) not after a later effect: a builder that
 *   emits code where a value is used would read the wrong state.
 * - Memory, tag and system effects and checks that may raise come before register and flag writes.
 *
 * What was called is recorded, so that two runs with different tokens can be compared: semantics that
 * branched on anything but statics would leave different traces.
 */
import type { Builder, FlagOperation, Words } from '../../isa/index.js';

/** When a value stops being good: never, at a register or flag write, or at any effect. */
type Life = 'constant' | 'state' | 'effect';
const LIVES: readonly Life[] = ['constant', 'state', 'effect'];

interface Token {
  readonly life: Life;
  readonly named: boolean;
  /** What it came from, for messages. */
  readonly origin: string;
  /** Counters of the builder when the oldest part of it was read. */
  readonly writes: number;
  readonly effects: number;
  uses: number;
}

export interface LinearWords extends Words {
  readonly x: Token;
  readonly q: Token;
  readonly bool: Token;
  readonly vreg: { readonly vreg: string };
  readonly reg: { readonly reg: string };
  readonly cond: { readonly cond: string };
  readonly label: { readonly label: string };
  readonly sysreg: { readonly sysreg: string };
}

type Reg = LinearWords['reg'];
type VReg = LinearWords['vreg'];

export class LinearityError extends Error {}

export class LinearityBuilder implements Builder<LinearWords> {
  readonly trace: string[] = [];
  readonly #baseIsSP: boolean;
  #writes = 0;
  #effects = 0;

  /** @param baseIsSP the answer to every isSP */
  constructor(baseIsSP: boolean) {
    this.#baseIsSP = baseIsSP;
  }

  /** An immediate operand: single use unless named, like any other value. */
  operand(origin: string): Token {
    return this.#token('constant', origin);
  }

  #token(life: Life, origin: string, named = false): Token {
    return { life, named, origin, writes: this.#writes, effects: this.#effects, uses: 0 };
  }

  #use(value: Token, by: string): void {
    if (value === undefined || value.origin === undefined) throw new LinearityError(`${by}: not a value`);
    value.uses++;
    if (value.named) return;
    if (value.uses > 1) throw new LinearityError(`${by}: ${value.origin} is used twice without a name`);
    if (value.life !== 'constant' && value.writes !== this.#writes) {
      throw new LinearityError(`${by}: ${value.origin} was read before a register or flag write, unnamed`);
    }
    if (value.life === 'effect' && value.effects !== this.#effects) {
      throw new LinearityError(`${by}: ${value.origin} came before a later effect, unnamed`);
    }
  }

  /** A value computed from others; it lives as long as its shortest-lived unnamed part. */
  #pure(name: string, ...parts: readonly Token[]): Token {
    this.trace.push(name);
    let life = 0;
    for (const part of parts) {
      this.#use(part, name);
      if (!part.named) life = Math.max(life, LIVES.indexOf(part.life));
    }
    return this.#token(LIVES[life]!, name);
  }

  #read(name: string): Token {
    this.trace.push(name);
    return this.#token('state', name);
  }

  #write(name: string, ...parts: readonly Token[]): void {
    this.trace.push(name);
    for (const part of parts) this.#use(part, name);
    this.#writes++;
    this.#effects++;
  }

  /** Something that may raise or that the outside sees; must precede the instruction's own writes. */
  #effect(name: string, ...parts: readonly Token[]): Token {
    this.trace.push(name);
    for (const part of parts) this.#use(part, name);
    if (this.#writes > 0) throw new LinearityError(`${name} comes after a register or flag write`);
    this.#effects++;
    return this.#token('effect', name);
  }

  /** Both elements come named: no builder can emit one of them later. */
  #pair(name: string, ...parts: readonly Token[]): readonly [Token, Token] {
    this.#effect(name, ...parts);
    return [this.#token('effect', `${name}[0]`, true), this.#token('effect', `${name}[1]`, true)];
  }

  imm(value: bigint | number): Token {
    return this.#token('constant', `imm ${value}`);
  }
  let(value: Token): Token {
    this.#use(value, 'let');
    const named = this.#token(value.life, `let ${value.origin}`, true);
    if (this.#owed.has(value)) this.#owed.add(named);
    return named;
  }
  letBool(value: Token): Token {
    return this.let(value);
  }

  add = (w: number, a: Token, b: Token) => this.#pure(`add${w}`, a, b);
  sub = (w: number, a: Token, b: Token) => this.#pure(`sub${w}`, a, b);
  mul = (w: number, a: Token, b: Token) => this.#pure(`mul${w}`, a, b);
  umulh = (a: Token, b: Token) => this.#pure('umulh', a, b);
  smulh = (a: Token, b: Token) => this.#pure('smulh', a, b);
  udiv = (w: number, a: Token, b: Token) => this.#pure(`udiv${w}`, a, b);
  sdiv = (w: number, a: Token, b: Token) => this.#pure(`sdiv${w}`, a, b);
  and = (w: number, a: Token, b: Token) => this.#pure(`and${w}`, a, b);
  or = (w: number, a: Token, b: Token) => this.#pure(`or${w}`, a, b);
  xor = (w: number, a: Token, b: Token) => this.#pure(`xor${w}`, a, b);
  not = (w: number, a: Token) => this.#pure(`not${w}`, a);
  shl = (w: number, a: Token, n: Token) => this.#pure(`shl${w}`, a, n);
  shr = (w: number, a: Token, n: Token) => this.#pure(`shr${w}`, a, n);
  sar = (w: number, a: Token, n: Token) => this.#pure(`sar${w}`, a, n);
  ror = (w: number, a: Token, n: Token) => this.#pure(`ror${w}`, a, n);
  clz = (w: number, a: Token) => this.#pure(`clz${w}`, a);
  cls = (w: number, a: Token) => this.#pure(`cls${w}`, a);
  rbit = (w: number, a: Token) => this.#pure(`rbit${w}`, a);
  rev = (w: number, container: number, a: Token) => this.#pure(`rev${w}:${container}`, a);
  zext = (from: number, a: Token) => this.#pure(`zext${from}`, a);
  sext = (w: number, from: number, a: Token) => this.#pure(`sext${w}:${from}`, a);
  crc32 = (castagnoli: boolean, size: number, a: Token, v: Token) =>
    this.#pure(`crc32:${castagnoli}:${size}`, a, v);

  eq = (w: number, a: Token, b: Token) => this.#pure(`eq${w}`, a, b);
  ltu = (w: number, a: Token, b: Token) => this.#pure(`ltu${w}`, a, b);
  lts = (w: number, a: Token, b: Token) => this.#pure(`lts${w}`, a, b);
  testBit = (a: Token, index: Token) => this.#pure('testBit', a, index);
  notBool = (a: Token) => this.#pure('notBool', a);
  andBool = (a: Token, b: Token) => this.#pure('andBool', a, b);
  orBool = (a: Token, b: Token) => this.#pure('orBool', a, b);
  fromBool = (a: Token) => this.#pure('fromBool', a);
  select = (c: Token, a: Token, b: Token) => this.#pure('select', c, a, b);

  readX = (w: number, { reg }: Reg) => this.#read(`readX${w} ${reg}`);
  writeX = (w: number, { reg }: Reg, value: Token) => this.#write(`writeX${w} ${reg}`, value);
  readBase(reg: Reg): Token {
    // CheckSPAlignment may raise.
    this.#effect(`readBase ${reg.reg}`);
    return this.#read(`base ${reg.reg}`);
  }
  isSP = (_: Reg) => this.#baseIsSP;
  nextReg = ({ reg }: Reg): Reg => ({ reg: `${reg}+1` });
  linkRegister = (): Reg => ({ reg: 'x30' });
  fixedRegister = (slot: number): Reg => ({ reg: `slot ${slot}` });
  setFlags = (operation: FlagOperation, w: number, a: Token, b: Token) =>
    this.#write(`setFlags ${operation}${w}`, a, b);
  setFlagsIf = (c: Token, operation: FlagOperation, w: number, a: Token, b: Token, otherwise: Token) =>
    this.#write(`setFlagsIf ${operation}${w}`, c, a, b, otherwise);
  flags = () => this.#read('flags');
  writeFlags = (nzcv: Token) => this.#write('writeFlags', nzcv);
  carry = () => this.#read('carry');
  holds = ({ cond }: LinearWords['cond']) => this.#read(`holds ${cond}`);

  pc = () => this.#pure('pc');
  addressOf = ({ label }: LinearWords['label']) => this.#pure(`addressOf ${label}`);
  branch = ({ label }: LinearWords['label']) => this.#write(`branch ${label}`);
  branchIf = (c: Token, { label }: LinearWords['label']) => this.#write(`branchIf ${label}`, c);
  branchTo = (target: Token, kind: string, via?: Reg) =>
    this.#write(`branchTo ${kind} ${via?.reg ?? ''}`, target);

  load = (bytes: number, address: Token) => this.#effect(`load${bytes}`, address);
  store = (bytes: number, address: Token, value: Token): void => {
    this.#effect(`store${bytes}`, address, value);
  };
  loadPair = (bytes: number, address: Token) => this.#pair(`loadPair${bytes}`, address);
  storePair = (bytes: number, address: Token, first: Token, second: Token): void => {
    this.#effect(`storePair${bytes}`, address, first, second);
  };
  atomic = (operation: string, bytes: number, address: Token, operand: Token) =>
    this.#effect(`atomic ${operation}${bytes}`, address, operand);
  compareAndSwap = (bytes: number, address: Token, expected: Token, replacement: Token) =>
    this.#effect(`compareAndSwap${bytes}`, address, expected, replacement);
  compareAndSwapPair = (
    bytes: number,
    address: Token,
    expected: readonly [Token, Token],
    replacement: readonly [Token, Token],
  ) => this.#pair(`compareAndSwapPair${bytes}`, address, ...expected, ...replacement);
  loadExclusive = (bytes: number, address: Token) => this.#effect(`loadExclusive${bytes}`, address);
  loadExclusivePair = (bytes: number, address: Token) => this.#pair(`loadExclusivePair${bytes}`, address);
  storeExclusive = (bytes: number, address: Token, value: Token) =>
    this.#effect(`storeExclusive${bytes}`, address, value);
  storeExclusivePair = (bytes: number, address: Token, first: Token, second: Token) =>
    this.#effect(`storeExclusivePair${bytes}`, address, first, second);
  clearExclusive(): void {
    this.#effect('clearExclusive');
  }
  barrier(kind: string): void {
    this.#effect(`barrier ${kind}`);
  }

  loadVector = (element: number, total: number, address: Token): readonly Token[] => {
    this.#effect(`loadVector${element}:${total}`, address);
    return Array.from({ length: Math.ceil(total / 16) }, (_, i) =>
      this.#token('effect', `loadVector[${i}]`, true),
    );
  };
  storeVector = (element: number, total: number, address: Token, values: readonly Token[]): void => {
    if (values.length !== Math.ceil(total / 16))
      throw new LinearityError('storeVector: not the bytes it says');
    this.#effect(`storeVector${element}:${total}`, address, ...values);
  };

  checkFPAdvSIMDEnabled(): void {
    if (this.trace.length > 0) throw new LinearityError('checkFPAdvSIMDEnabled is not the first thing done');
    this.#effect('checkFPAdvSIMDEnabled');
  }
  /** V registers are out of reach before the check. */
  #checked(name: string): string {
    if (this.trace[0] !== 'checkFPAdvSIMDEnabled')
      throw new LinearityError(`${name} without checkFPAdvSIMDEnabled`);
    return name;
  }
  readF = (size: number, { vreg }: VReg) => this.#read(this.#checked(`readF${size} ${vreg}`));
  writeF = (size: number, { vreg }: VReg, value: Token) =>
    this.#write(this.#checked(`writeF${size} ${vreg}`), value);
  readV = (width: number, { vreg }: VReg) => this.#read(this.#checked(`readV${width} ${vreg}`));
  writeV = (width: number, { vreg }: VReg, value: Token) =>
    this.#write(this.#checked(`writeV${width} ${vreg}`), value);
  nextV = ({ vreg }: VReg, distance: number): VReg => ({ vreg: `${vreg}+${distance}` });

  /** Results that must be used: a builder that emits code where a value is used would else lose FPSR bits. */
  readonly #owed = new Set<Token>();

  /** An operation that reads FPCR and adds to FPSR; adding is no write to anything that is read here. */
  #float(name: string, ...parts: readonly Token[]): Token {
    const value = this.#pure(this.#checked(name), ...parts);
    const token: Token = { ...value, life: value.life === 'effect' ? 'effect' : 'state' };
    this.#owed.add(token);
    return token;
  }

  /** To be called after the semantics: every result that must be used was. */
  finish(): void {
    for (const { uses, origin } of this.#owed) {
      if (uses === 0) throw new LinearityError(`the result of ${origin} is not used`);
    }
  }
  fp1 = (o: string, size: number, a: Token) => this.#float(`fp ${o}${size}`, a);
  fp2 = (o: string, size: number, a: Token, b: Token) => this.#float(`fp ${o}${size}`, a, b);
  fp3 = (o: string, size: number, a: Token, b: Token, c: Token) => this.#float(`fp ${o}${size}`, a, b, c);
  fpCompare = (size: number, a: Token, b: Token, all: boolean) =>
    this.#float(`fpCompare${size} ${all}`, a, b);
  fpTest = (test: string, size: number, a: Token, b: Token) => this.#float(`fpTest ${test}${size}`, a, b);
  fpConvert = (to: number, from: number, a: Token, rounding: string) =>
    this.#float(`fpConvert${to}:${from} ${rounding}`, a);
  fpRoundInt = (size: number, a: Token, rounding: string, exact: boolean) =>
    this.#float(`fpRoundInt${size} ${rounding} ${exact}`, a);
  fpRoundIntN = (size: number, a: Token, rounding: string, bits: number) =>
    this.#float(`fpRoundIntN${size} ${rounding} ${bits}`, a);
  fpToFixed = (bits: number, size: number, a: Token, f: Token, unsigned: boolean, rounding: string) =>
    this.#float(`fpToFixed${bits}:${size} ${unsigned} ${rounding}`, a, f);
  fpToFixedJS = (a: Token) => this.#float('fpToFixedJS', a);
  fixedToFp = (size: number, bits: number, a: Token, f: Token, unsigned: boolean, rounding: string) =>
    this.#float(`fixedToFp${size}:${bits} ${unsigned} ${rounding}`, a, f);

  immV = (value: bigint) => this.#token('constant', `immV ${value}`);
  letV = (value: Token) => this.let(value);
  fromX = (low: Token, high: Token) => this.#pure('fromX', low, high);
  getLane = (size: number, a: Token, index: Token) => this.#pure(`getLane${size}`, a, index);
  setLane = (size: number, a: Token, index: Token, value: Token) =>
    this.#pure(`setLane${size}`, a, index, value);
  splat = (size: number, value: Token) => this.#pure(`splat${size}`, value);
  shuffle(a: Token, b: Token, pattern: readonly number[]): Token {
    if (pattern.length !== 16 || pattern.some((i) => !Number.isInteger(i) || i < 0 || i > 31))
      throw new LinearityError(`shuffle: ${pattern.join(' ')} is not 16 bytes of two vectors`);
    return this.#pure(`shuffle ${pattern.join(' ')}`, a, b);
  }
  swizzle = (table: Token, indices: Token) => this.#pure('swizzle', table, indices);
  v1 = (o: string, size: number, a: Token) => this.#lanes(`v ${o}${size}`, a);
  v2 = (o: string, size: number, a: Token, b: Token) => this.#lanes(`v ${o}${size}`, a, b);
  v3 = (o: string, size: number, mask: Token, a: Token, b: Token) => this.#lanes(`v ${o}${size}`, mask, a, b);
  #lanes(name: string, ...parts: readonly Token[]): Token {
    return /^v (sq|uq|suq|usq)/.test(name) ? this.#float(name, ...parts) : this.#pure(name, ...parts);
  }
  vShift = (o: string, size: number, a: Token, amount: Token) => this.#pure(`vShift ${o}${size}`, a, amount);
  vWiden = (signed: boolean, size: number, high: boolean, a: Token) =>
    this.#pure(`vWiden ${signed} ${size} ${high}`, a);
  vNarrow = (how: string, size: number, a: Token) =>
    how === 'cut' ? this.#pure(`vNarrow ${how}${size}`, a) : this.#float(`vNarrow ${how}${size}`, a);
  polynomialProduct = (a: Token, b: Token) => this.#pure('polynomialProduct', a, b);
  aes = (operation: string, state: Token) => this.#pure(`aes ${operation}`, state);
  vfp1 = (o: string, size: number, lanes: number, a: Token) => this.#float(`vfp ${o}${size}x${lanes}`, a);
  vfp2 = (o: string, size: number, lanes: number, a: Token, b: Token) =>
    this.#float(`vfp ${o}${size}x${lanes}`, a, b);
  vfp3 = (o: string, size: number, lanes: number, a: Token, b: Token, c: Token) =>
    this.#float(`vfp ${o}${size}x${lanes}`, a, b, c);
  vfpTest = (test: string, size: number, lanes: number, a: Token, b: Token) =>
    this.#float(`vfpTest ${test}${size}x${lanes}`, a, b);

  tagAccessEnabled = () => this.#read('tagAccessEnabled');
  tagOf = (address: Token) => this.#pure('tagOf', address);
  withTag = (address: Token, tag: Token) => this.#pure('withTag', address, tag);
  randomTag = (exclude: Token) => this.#effect('randomTag', exclude);
  nextTag = (tag: Token, offset: Token) => this.#pure('nextTag', tag, offset);
  loadTag = (address: Token) => this.#effect('loadTag', address);
  storeTag = (address: Token, tag: Token, granules: number, zeroData: boolean): void => {
    this.#effect(`storeTag ${granules} ${zeroData}`, address, tag);
  };
  storeTagPair = (address: Token, tag: Token, first: Token, second: Token): void => {
    this.#effect('storeTagPair', address, tag, first, second);
  };
  loadTagBlock = (address: Token) => this.#effect('loadTagBlock', address);
  storeTagBlock = (address: Token, tags: Token): void => {
    this.#effect('storeTagBlock', address, tags);
  };
  storeTagZeroBlock = (address: Token, tag: Token): void => {
    this.#effect('storeTagZeroBlock', address, tag);
  };

  addPac = (pointer: Token, modifier: Token, key: string) => this.#pure(`addPac ${key}`, pointer, modifier);
  authenticate = (pointer: Token, modifier: Token, key: string) =>
    this.#pure(`authenticate ${key}`, pointer, modifier);
  stripPac = (pointer: Token, data: boolean) => this.#pure(`stripPac ${data}`, pointer);
  genericPac = (value: Token, modifier: Token) => this.#pure('genericPac', value, modifier);

  readSystemRegister = ({ sysreg }: LinearWords['sysreg']) => this.#effect(`readSystemRegister ${sysreg}`);
  writeSystemRegister = ({ sysreg }: LinearWords['sysreg'], value: Token): void => {
    this.#effect(`writeSystemRegister ${sysreg}`, value);
  };
  writePstate = (field: string, value: Token): void => {
    this.#effect(`writePstate ${field}`, value);
  };
  systemOperation = ({ sysreg }: LinearWords['sysreg'], value: Token): void => {
    this.#effect(`systemOperation ${sysreg}`, value);
  };
  supervisorCall = (imm: Token): void => {
    this.#effect('supervisorCall', imm);
  };
  hypervisorCall = (imm: Token): void => {
    this.#effect('hypervisorCall', imm);
  };
  secureMonitorCall = (imm: Token): void => {
    this.#effect('secureMonitorCall', imm);
  };
  breakpoint = (imm: Token): void => {
    this.#effect('breakpoint', imm);
  };
  halt = (imm: Token): void => {
    this.#effect('halt', imm);
  };
  undefined(): void {
    this.#effect('undefined');
  }
  requireEL(el: number): void {
    this.#effect(`requireEL ${el}`);
  }
  exceptionReturn(key?: string): void {
    this.#effect(`exceptionReturn ${key ?? ''}`);
  }
  hint = (number: Token): void => {
    this.#effect('hint', number);
  };
}
