/**
 * `mtemu demo`: the life of tag storage in one run, told step by step.
 *
 * Everything it says is read off the run: the machine's serial line, the kernel's log, the guest's
 * output, and snapshots of tag storage taken when the guest has written a line. It fails (exit 1) where
 * the story does not come out as told.
 */
import useAfterFree from '../../firmware/examples/use-after-free.s';
import reuse from '../../firmware/programs/reuse.elf';
import { assemble } from '../assembler/index.js';
import { formatSize, KiB, MiB } from '../base/index.js';
import { readElf, toElf } from '../elf/index.js';
import { bootSystem, renderTagFaultReport, type System, setTaggedAddrCtrl } from '../kernel/index.js';
import { countUses, drawTagStorage, summarizeTagStorage, type TagPageUse, usesOf } from '../lab/index.js';
import { shippedTree } from '../machine/index.js';
import type { Command, CommandIo } from './command.js';
import { type OptionSpecs, parseOptions, usageError, wholeNumber } from './options.js';

const OPTIONS = {
  seed: { type: 'string' },
  help: { type: 'boolean' },
} as const satisfies OptionSpecs;

const HELP = `Usage: mtemu demo [--seed N]

Boots the default machine, lends its tag storage to ordinary data, takes blocks of it back for tagged
memory, checks every byte and every tag, and shows a use after free. Exit status 1 if anything differs.
`;

/** Tagged memory the program asks for, and the data it drops before. */
const TAGGED_MIB = 4;
const DROPPED_MIB = 8;
/** What the data leaves free: the zone's watermark, and page tables for half a GiB. */
const SPARE_MIB = 6;
/** ENABLE, SYNC, every tag but 0 for IRG. */
const SYNC_CHECKS = 1n | 2n | (0xfffen << 3n);

export const demoCommand: Command = {
  name: 'demo',
  summary: 'the whole story: lend tag storage, take it back, catch a use after free',
  help: HELP,
  run(args, io) {
    const { values, positionals } = parseOptions('demo', OPTIONS, args);
    if (positionals.length > 0) throw usageError('demo', `demo takes no arguments, not '${positionals[0]}'`);
    return new Story(io, wholeNumber('demo', values, 'seed') ?? 0).tell() ? 0 : 1;
  },
};

class Story {
  readonly #io: CommandIo;
  readonly #seed: number;
  #true = true;

  constructor(io: CommandIo, seed: number) {
    this.#io = io;
    this.#seed = seed;
  }

  #say(line: string): void {
    this.#io.stdout(`${line}\n`);
  }

  #heading(number: number, title: string): void {
    this.#say(`\n== ${number}. ${title}`);
  }

  /** What must hold for the story to be true; said only where it does not. */
  #expect(holds: boolean, what: string): void {
    if (holds) return;
    this.#true = false;
    this.#say(`!! this should not be: ${what}`);
  }

  #draw(title: string, uses: readonly TagPageUse[]): void {
    this.#say(`   ${title}: ${summarizeTagStorage(uses)}`);
    for (const line of drawTagStorage(uses, { color: this.#io.color })) this.#say(`      ${line}`);
  }

  tell(): boolean {
    const system = this.#boot();
    this.#reuse(system);
    this.#useAfterFree(system);
    this.#say('');
    this.#say(this.#true ? 'The story held: no byte and no tag was lost.' : 'The story did NOT hold.');
    return this.#true;
  }

  #boot(): System {
    this.#heading(1, 'The machine and its firmware');
    const tree = shippedTree('default');
    let serial = '';
    let system: System | undefined;
    let guestLine = '';
    const log: string[] = [];
    system = bootSystem({
      tree,
      seed: this.#seed,
      log: (line) => log.push(line),
      onSerial: (byte) => {
        serial += String.fromCharCode(byte);
      },
      write: (_fd, bytes) => {
        guestLine += new TextDecoder().decode(bytes);
        for (let end = guestLine.indexOf('\n'); end >= 0; end = guestLine.indexOf('\n')) {
          this.#guestSaid(guestLine.slice(0, end), system!);
          guestLine = guestLine.slice(end + 1);
        }
      },
    });
    const { machine, tagRanges } = system.board;
    for (const bank of machine.dram.banks) {
      this.#say(`   DRAM 0x${bank.base.toString(16)}, ${formatSize(bank.size)}`);
    }
    for (const r of tagRanges) {
      this.#say(
        `   tags of 0x${r.memBase.toString(16)} + ${formatSize(r.memSize)} are the bytes from 0x${r.tagBase.toString(16)}, in blocks of ${formatSize(r.blockSize)}`,
      );
    }
    for (const line of serial.trimEnd().split('\n')) this.#say(`   serial: ${line}`);
    this.#expect(machine.controller.ranges.length === tagRanges.length, 'a tag range is not in force');

    this.#heading(2, 'The kernel discovers tag storage and lends it');
    for (const line of log) this.#say(`   kernel: ${line}`);
    const snapshot = system.kernel.mm.snapshotTagStorage();
    const uses = usesOf(snapshot);
    const lent = countUses(uses).free;
    this.#say(`   gained: ${formatSize(lent * system.kernel.mm.pageSize)} of ordinary memory`);
    this.#expect(snapshot.enabled && lent > 0, 'tag storage was not lent');
    this.#draw('before', uses);
    return system;
  }

  readonly #seen: { line: string; uses: TagPageUse[]; migrations: number }[] = [];

  #guestSaid(line: string, { kernel }: System): void {
    this.#say(`   guest: ${line}`);
    const uses = usesOf(kernel.mm.snapshotTagStorage());
    this.#seen.push({ line, uses, migrations: kernel.mm.vmstat()['pgmigrate_success'] ?? 0 });
    this.#draw('now', uses);
  }

  #reuse({ kernel }: System): void {
    this.#heading(3, 'A program fills memory, then tags some');
    const free = (kernel.mm.meminfo()['MemFree'] ?? 0) * KiB;
    const dataMib = Math.floor(free / MiB) - SPARE_MIB;
    this.#say(
      `   running: reuse ${dataMib} ${TAGGED_MIB} ${DROPPED_MIB} (MiB of data, tagged, dropped before)`,
    );
    const process = kernel.spawn({
      elf: readElf(reuse, 'firmware/programs/reuse.elf'),
      args: ['reuse', String(dataMib), String(TAGGED_MIB), String(DROPPED_MIB)],
    });
    if (typeof process === 'number') {
      this.#expect(false, `the program could not be started (errno ${-process})`);
      return;
    }
    const outcome = kernel.run(process);
    this.#expect(
      outcome.kind === 'ended' && outcome.end.kind === 'exited' && outcome.end.status === 0,
      'the program did not end with status 0',
    );
    const [filled, dropped, tagged, , freed] = this.#seen;
    if (filled === undefined || dropped === undefined || tagged === undefined || freed === undefined) {
      this.#expect(false, 'the program did not come to its end');
      return;
    }
    this.#heading(4, 'What happened to tag storage');
    const full = countUses(filled.uses);
    const before = countUses(dropped.uses);
    const during = countUses(tagged.uses);
    const after = countUses(freed.uses);
    this.#say(`   ${full.data} pages of tag storage held data when memory was full`);
    this.#say(
      `   ${during.tags - before.tags} blocks were taken for tags, ${tagged.migrations - dropped.migrations} pages of data moved out of the way`,
    );
    this.#say(
      `   ${during.tags - after.tags} blocks went back to being lent when the tagged memory was freed`,
    );
    this.#expect(full.data > 0, 'no data came to be in tag storage');
    this.#expect(tagged.migrations > dropped.migrations, 'nothing had to be moved');
    this.#expect(during.tags > before.tags, 'no block was taken');
    this.#expect(after.tags < during.tags, 'no block went back');
    const broken = kernel.mm.checkInvariants();
    this.#expect(broken.length === 0, broken.map((v) => `invariant ${v.invariant}: ${v.detail}`).join('; '));
  }

  #useAfterFree({ kernel }: System): void {
    this.#heading(5, 'A use after free');
    const name = 'firmware/examples/use-after-free.s';
    const elf = readElf(toElf(assemble({ name, text: useAfterFree }, {})), name);
    const control = setTaggedAddrCtrl(SYNC_CHECKS, true);
    const process = kernel.spawn({ elf, args: [name], ...(typeof control === 'number' ? {} : { control }) });
    if (typeof process === 'number') {
      this.#expect(false, `the program could not be started (errno ${-process})`);
      return;
    }
    const outcome = kernel.run(process);
    const end = outcome.kind === 'ended' ? outcome.end : undefined;
    if (end?.kind === 'killed' && end.report !== undefined) {
      this.#say('');
      this.#io.stdout(renderTagFaultReport(end.report));
      this.#expect(end.info.codeName === 'SEGV_MTESERR', 'the signal is not SEGV_MTESERR');
    } else {
      this.#expect(false, 'the use after free was not caught');
    }
  }
}
