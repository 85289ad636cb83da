/**
 * The modelled caches: what is written back when, that data and tags know nothing of each other, and
 * what becomes of memory when tag storage changes hands without maintenance.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PA, Random } from '../../src/base/index.js';
import { runVectors } from '../../src/lab/index.js';
import {
  cacheSizeId,
  DATA_CACHE,
  type Dram,
  type Incoherence,
  type Machine,
  ModelledCaches,
  TAG_CACHE,
  type TagController,
} from '../../src/machine/index.js';
import { assembleBare, asText, repositoryText, runImage, runText } from './bare.js';
import { CODE, D, DATA, mappedMachine, runUnder, SCTLR_ON, TAGS, testMachine } from './support.js';

const quietCaches = (dram: Dram, controller: TagController): ModelledCaches => {
  const random = new Random(0, 'quiet');
  // Event 6 of 6 does not exist; victims are way 0.
  random.below = (bound) => (bound === 6 ? 4 : 0);
  return new ModelledCaches(dram, controller, random);
};

/** A machine with caches in which nothing happens that is not asked for, and those caches. */
function quiet(config: Parameters<typeof testMachine>[0] = {}): { machine: Machine; caches: ModelledCaches } {
  let made: ModelledCaches | undefined;
  const machine = testMachine({
    ...config,
    caches: (dram, controller) => {
      made = quietCaches(dram, controller);
      return made;
    },
  });
  return { machine, caches: made! };
}

/** Tag byte of DATA. */
const DATA_TAGS = TAGS + (DATA - 0x40000000) / 32;

describe('what registers say of the caches', () => {
  it('is what is modelled', () => {
    const { cpu } = testMachine();
    const read = (name: string) => Number(cpu.readRegister(name));
    const ctr = cpu.readRegister('ctr_el0');
    expect(4 << Number(ctr & 15n)).toBe(64);
    expect(4 << Number((ctr >> 16n) & 15n)).toBe(DATA_CACHE.span);
    expect(4 << Number((ctr >> 32n) & 63n)).toBe(TAG_CACHE.span);
    // Ctype1 3: separate; Ctype2 none; LoC 1; Ttype1 1: separate tag cache.
    const clidr = cpu.readRegister('clidr_el1');
    expect([clidr & 7n, (clidr >> 3n) & 7n, (clidr >> 24n) & 7n, (clidr >> 33n) & 3n]).toEqual([
      3n,
      0n,
      1n,
      1n,
    ]);
    const size = (selection: bigint) => {
      cpu.writeRegister('csselr_el1', selection);
      const value = read('ccsidr_el1');
      return {
        sets: ((value >> 13) & 0x7fff) + 1,
        ways: ((value >> 3) & 0x3ff) + 1,
        line: 16 << (value & 7),
      };
    };
    expect(size(0n)).toEqual({ sets: DATA_CACHE.sets, ways: DATA_CACHE.ways, line: 64 });
    expect(size(16n)).toMatchObject({ sets: TAG_CACHE.sets, ways: TAG_CACHE.ways });
    expect([cacheSizeId(2, true), cacheSizeId(17, true), cacheSizeId(16, false)]).toEqual([0n, 0n, 0n]);
  });
});

describe('data lines', () => {
  it('are written back when cleaned, and dropped when invalidated', () => {
    const { machine } = quiet();
    const { memory, dram } = machine;
    memory.write64(PA(DATA + 8), 0x1122n);
    expect(dram.read32(DATA + 8)).toBe(0);
    expect(memory.read64(PA(DATA + 8))).toBe(0x1122n);
    memory.maintainData('clean', DATA, 64);
    expect(dram.read32(DATA + 8)).toBe(0x1122);
    memory.write64(PA(DATA + 8), 0x3344n);
    memory.maintainData('invalidate', DATA, 64);
    expect(memory.read64(PA(DATA + 8))).toBe(0x1122n);
    memory.write64(PA(DATA + 8), 0x5566n);
    memory.maintainData('clean-invalidate', DATA, 1);
    expect(dram.read32(DATA + 8)).toBe(0x5566);
    dram.write32(DATA + 8, 7);
    expect(memory.read64(PA(DATA + 8))).toBe(7n);
    dram.write32(DATA + 8, 8);
    expect(memory.read64(PA(DATA + 8))).toBe(7n);
  });

  it('make way for others of their set', () => {
    const { machine, caches } = quiet();
    const stride = DATA_CACHE.sets * 64;
    for (let i = 0; i <= DATA_CACHE.ways; i++) machine.memory.write32(PA(DATA + i * stride), 0x100 + i);
    expect(caches.counts.writeBacks).toBe(1);
    expect(machine.dram.read32(DATA)).toBe(0x100);
    expect(machine.memory.read32(PA(DATA))).toBe(0x100);
  });

  it('are reached by set and way', () => {
    const { machine } = quiet();
    const { memory, dram } = machine;
    memory.write32(PA(DATA + 64), 5);
    const set = ((DATA + 64) / 64) % DATA_CACHE.sets;
    memory.maintainDataSetWay('clean', BigInt((1 << 30) | (set << 6)));
    memory.maintainDataSetWay('clean', BigInt((set << 6) | 2));
    expect(dram.read32(DATA + 64)).toBe(0);
    memory.maintainDataSetWay('clean', BigInt(set << 6));
    expect(dram.read32(DATA + 64)).toBe(5);
  });
});

describe('tag lines', () => {
  it('are addressed by the memory they cover and hold the tags of 2 KiB', () => {
    const { machine } = quiet();
    const { memory, dram } = machine;
    memory.writeTag(PA(DATA), 3);
    memory.writeTag(PA(DATA + 0x7f0), 9);
    memory.writeTag(PA(DATA + 0x800), 5);
    expect(dram.readBytes(DATA_TAGS, 65).every((b) => b === 0)).toBe(true);
    memory.maintainTags('clean', DATA + 0x400, 16);
    expect([dram.read8(DATA_TAGS), dram.read8(DATA_TAGS + 63), dram.read8(DATA_TAGS + 64)]).toEqual([
      3, 0x90, 0,
    ]);
    memory.maintainTags('invalidate', DATA + 0x800, 16);
    expect([memory.readTag(PA(DATA)), memory.readTag(PA(DATA + 0x800))]).toEqual([3, 0]);
  });

  it('are incoherent with data lines of the same DRAM, both ways', () => {
    const { machine } = quiet();
    const { memory } = machine;
    const reports: Incoherence[] = [];
    memory.onIncoherence = (report) => reports.push(report);
    expect(memory.readTag(PA(DATA))).toBe(0);
    memory.write8(PA(DATA_TAGS), 0x77);
    expect(memory.readTag(PA(DATA))).toBe(0);
    expect(reports).toEqual([]);
    memory.writeTag(PA(DATA + 32), 4);
    expect(reports).toEqual([{ written: 'tags', dramLine: DATA_TAGS, taggedMemory: DATA }]);
    memory.maintainData('clean-invalidate', DATA_TAGS, 64);
    memory.write8(PA(DATA_TAGS), 0x78);
    expect(reports.slice(1)).toEqual([{ written: 'data', dramLine: DATA_TAGS, taggedMemory: DATA }]);
    // Whoever is written back last is what DRAM holds, whole lines at a time.
    memory.maintainData('clean', DATA_TAGS, 64);
    expect(machine.dram.read8(DATA_TAGS)).toBe(0x78);
    memory.maintainTags('clean', DATA, 16);
    expect([machine.dram.read8(DATA_TAGS), machine.dram.read8(DATA_TAGS + 1)]).toEqual([0, 4]);
  });
});

describe('accesses of the CPU', () => {
  const cachedMachine = () => {
    const { machine: m } = quiet();
    expect(m.memory.isDirect).toBe(false);
    const made = mappedMachine({
      caches: (dram, controller, random) => new ModelledCaches(dram, controller, random),
    });
    return made;
  };

  it('walk tables through the data cache where TCR says so, and past it where not', () => {
    for (const cacheable of [true, false]) {
      const { machine, cpu, tables } = cachedMachine();
      cpu.writeRegister('tcr_el1', cpu.readRegister('tcr_el1') | (cacheable ? (1n << 8n) | (1n << 10n) : 0n));
      // Everything so far is in memory; one more page is only in the data cache.
      for (const m of [machine.memory]) m.maintainData('clean-invalidate', 0x40000000, 0x4000000);
      tables.map(0x70000000, DATA, D.user);
      const taken = runUnder(machine, 'mov x0, #0x70000000\n ldr x1, [x0]\n svc #0', {
        setup: () => machine.memory.maintainData('clean', CODE, 4096),
      });
      expect(taken.esr).toBe(cacheable ? '0x56000000' : '0x92000006');
    }
  });

  it('that are not cacheable go past it', () => {
    const { machine, cpu } = cachedMachine();
    const text = `mov x0, #${DATA}\n mov x1, #77\n str x1, [x0]\n ldr x2, [x0]\n svc #0`;
    const clean = () => machine.memory.maintainData('clean', 0x40000000, 0x4000000);
    runUnder(machine, text, { setup: clean });
    expect(cpu.readX(2)).toBe(77n);
    const before = machine.dram.read32(DATA);
    expect(before === 0 || before === 77).toBe(true);
    machine.memory.maintainData('invalidate', DATA, 64);
    machine.dram.write32(DATA, 0);
    // SCTLR_EL1.C = 0.
    const off = () => {
      clean();
      cpu.writeRegister('sctlr_el1', SCTLR_ON & ~4n);
    };
    runUnder(machine, text, { setup: off });
    expect([cpu.readX(2), machine.dram.read32(DATA)]).toEqual([77n, 77]);
  });

  it('give the results of all sample vectors', () => {
    const lines = readFileSync(new URL('../conform/fixtures/sample.jsonl', import.meta.url), 'utf8').split(
      '\n',
    );
    const some = lines.filter((line, i) => line !== '' && i % 4 === 0);
    const result = runVectors([{ name: 'sample.jsonl', lines: some }], { caches: true, engine: 'evaluate' });
    expect(result.failures).toEqual([]);
    expect(result.passed).toBeGreaterThan(70);
  });
});

describe('code that changes', () => {
  const CACHED = SCTLR_ON;
  const UNCACHED = SCTLR_ON & ~(1n << 12n);
  /** Runs an instruction, makes it another one with `maintenance`, runs it again; gives 1 + what that was. */
  const twice = (maintenance: string, sctlr: bigint): bigint => {
    let caches: ModelledCaches | undefined;
    const { machine, cpu, tables } = mappedMachine({
      caches: (dram, controller) => {
        caches = quietCaches(dram, controller);
        return caches;
      },
    });
    tables.mapRange(CODE, 0x1000, D.user);
    cpu.writeX(2, 0xd2800200n); // mov x0, #16
    // Walks go past the caches.
    const setup = () => {
      caches!.cleanAll();
      cpu.writeRegister('sctlr_el1', sctlr);
    };
    runUnder(
      machine,
      `
        adr x1, 1f
        mov x3, #0
        mov x4, #2
        b 1f
        .balign 64
     1: mov x0, #1
        add x3, x3, x0
        str w2, [x1]
        ${maintenance}
        subs x4, x4, #1
        b.ne 1b
        svc #0
      `,
      { setup },
    );
    return cpu.readX(3);
  };
  const CLEAN = 'dc cvau, x1\n dsb ish';
  const INVALIDATE = 'ic ivau, x1\n dsb ish\n isb';

  it('is cleaned to the point of unification and invalidated, or the old code runs', () => {
    expect(twice('', CACHED)).toBe(2n);
    expect(twice(CLEAN, CACHED)).toBe(2n);
    expect(twice(INVALIDATE, CACHED)).toBe(2n);
    expect(twice(`${INVALIDATE}\n ${CLEAN}`, CACHED)).toBe(2n);
    expect(twice(`${CLEAN}\n ${INVALIDATE}`, CACHED)).toBe(17n);
  });

  it('is fetched from memory where instructions are not cached: cleaning is enough', () => {
    expect(twice('', UNCACHED)).toBe(2n);
    expect(twice(CLEAN, UNCACHED)).toBe(17n);
  });
});

describe('guest instructions', () => {
  it('clean and invalidate lines of data and tags', () => {
    // MMU on as in bare-handover.s; DRAM is looked at through a Non-cacheable alias.
    const { end, output } = runText(repositoryText('test/machine/programs/maintenance.s'), {
      caches: 'model',
    });
    expect(output).toBe('');
    expect(end).toEqual({ kind: 'exit', status: 0, reset: false });
  });
});

describe('tag storage that changes hands', () => {
  /** Two rounds in place of four, so that many seeds go by. */
  const program = (file: string) => {
    const handover = repositoryText('firmware/examples/bare-handover.s').replace('ROUNDS, 4', 'ROUNDS, 2');
    const text = repositoryText(`firmware/examples/${file}`);
    return assembleBare(text.replace('.include "bare-handover.s"', handover));
  };
  /** The outcomes of seeds 0..n-1, and how many of them had warnings. */
  const outcomes = (file: string, seeds: number) => {
    const image = program(file);
    const texts: string[] = [];
    let warned = 0;
    for (let seed = 0; seed < seeds; seed++) {
      let reports = 0;
      const outcome = runImage(image, { caches: 'model', seed, onIncoherence: () => reports++ });
      texts.push(asText(outcome));
      if (reports > 0) warned++;
    }
    return { texts, warned };
  };
  const text = (what: string, status: number) =>
    `tag storage changed hands 8 times: ${what}\n[exit ${status}]`;

  it('is intact with both invalidates, on every seed', () => {
    const { texts, warned } = outcomes('bare-handover.s', 200);
    expect(new Set(texts)).toEqual(new Set([text('all tags and data are intact', 0)]));
    expect(warned).toBe(0);
  });

  it('loses tags without the data invalidate, on some seeds, and is warned of on all', () => {
    const { texts, warned } = outcomes('bare-no-data-invalidate.s', 60);
    const bad = texts.filter((t) => t === text('tags were corrupted', 1)).length;
    expect(bad).toBeGreaterThan(5);
    expect(bad).toBeLessThan(60);
    expect(warned).toBe(60);
  });

  it('loses data without the tag invalidate, on some seeds, and is warned of on all', () => {
    const { texts, warned } = outcomes('bare-no-tag-invalidate.s', 60);
    const bad = texts.filter((t) => t === text('data were corrupted', 1)).length;
    expect(bad).toBeGreaterThan(5);
    expect(bad).toBeLessThan(60);
    expect(warned).toBe(60);
  });
});
