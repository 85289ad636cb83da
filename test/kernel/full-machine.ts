/**
 * A machine so full that tag storage is lent and taken back under whatever program runs in it: most of its 64 MiB are
 * the firmware's, another process holds the rest but for a few MiB, and a third one tags memory again and again.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { mtemu, type Outcome } from '../cli/in-process.js';

const LAUNCHER = new URL('./third-party/launch.c', import.meta.url).pathname;
const DEFAULT_TREE = new URL('../../dts/default.dts', import.meta.url);

/** MiB that the other process holds, pages that the third one tags, microseconds between its rounds. */
const OTHERS = ['BALLAST=7', 'CHURN=30', 'PAUSE=3000'];
/** The same processes with next to nothing to do. */
const IDLE = ['BALLAST=0', 'CHURN=01', 'PAUSE=9999'];

/** 64 MiB with their tag storage behind them; 12 MiB are the kernel's. `boot` is its command line. */
export function fullTree(boot = ''): string {
  const taken = 'taken@40a00000 { reg = <0x0 0x40a00000 0x0 0x3400000>; no-map; };';
  return readFileSync(DEFAULT_TREE, 'utf8')
    .replace('bootargs = ""', `bootargs = "${boot}"`)
    .replaceAll('60000000', '44000000')
    .replace('0x0 0x20000000>', '0x0 0x4000000>')
    .replaceAll('0x0 0x1000000>', '0x0 0x200000>')
    .replace(/(reserved-memory \{[^}]*?ranges;)/, `$1\n${taken}`);
}

export class FullMachine {
  readonly #folder = mkdtempSync(join(tmpdir(), 'mtemu-full-'));
  readonly #launcher: Uint8Array;

  /** @param compiler a cross compiler with a static C library. */
  constructor(compiler: string) {
    const out = join(this.#folder, 'launch');
    expect(spawnSync(compiler, ['-O1', '-static', '-o', out, LAUNCHER], { encoding: 'utf8' }).stderr).toBe(
      '',
    );
    this.#launcher = readFileSync(out);
  }

  /** Runs a program as a child of the launcher, where it is `name` in the working directory. */
  #run(
    name: string,
    image: Uint8Array,
    args: readonly string[],
    options: readonly string[],
  ): Promise<Outcome> {
    writeFileSync(join(this.#folder, name), image, { mode: 0o755 });
    return mtemu(['run', '--root', this.#folder, ...options, 'launch', '1', name, ...args], {
      launch: this.#launcher,
      'full.dts': fullTree(),
    });
  }

  /** In the full machine; fails the test where tag storage did not change hands. */
  async run(
    name: string,
    image: Uint8Array,
    args: readonly string[],
    ...options: string[]
  ): Promise<Outcome> {
    const environment = OTHERS.flatMap((entry) => ['--env', entry]);
    const full = ['--machine', 'full.dts', '--tag-storage', 'cma', '--seed', '7', ...environment, '--stats'];
    const outcome = await this.#run(name, image, args, [...full, ...options]);
    const lines = outcome.stderr.trimEnd().split('\n');
    const { tagStorage } = JSON.parse(lines.pop()!) as {
      readonly tagStorage: Readonly<Record<string, number>>;
    };
    expect([name, tagStorage['reserveMigrate']! > 0]).toEqual([name, true]);
    return { ...outcome, stderr: lines.join('\n') };
  }

  /** In a machine with memory enough, where tags are never lent: what to compare with. */
  alone(name: string, image: Uint8Array, args: readonly string[]): Promise<Outcome> {
    const environment = IDLE.flatMap((entry) => ['--env', entry]);
    return this.#run(name, image, args, ['--tag-storage', 'static', ...environment]);
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
