/**
 * `mtemu run --tty`: the guest's standard streams are a terminal, of a script that is typed or of the host's.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { CommandIo } from '../../src/cli/command.js';
import { dispatch } from '../../src/cli/dispatch.js';
import { mtemu } from './in-process.js';

/** Writes what it reads, a read at a time, until there is nothing; ends with TCGETS's result. */
const ECHO = `
  .text
  .global _start
_start:
  sub sp, sp, #256
1:mov x0, #0
  mov x1, sp
  mov x2, #256
  mov x8, #63
  svc #0
  cmp x0, #0
  b.le 2f
  mov x2, x0
  mov x0, #1
  mov x1, sp
  mov x8, #64
  svc #0
  b 1b
2:mov x0, #1
  mov x1, #0x5401
  mov x2, sp
  mov x8, #29
  svc #0
  cmp x0, #0
  cset x0, ne
  mov x8, #94
  svc #0
`;
const SPIN = '_start: b .\n';
const files = { 'echo.s': ECHO, 'spin.s': SPIN };

/** What a terminal's user does: keys that come after so many looks. */
async function live(program: string, keys: readonly (string | number)[]) {
  let out = '';
  const rest = [...keys];
  let quiet = 0;
  const io: CommandIo = {
    stdout: (data) => {
      out += typeof data === 'string' ? data : new TextDecoder().decode(data);
    },
    stderr: () => {},
    readFile: (path) => new TextEncoder().encode(files[path as keyof typeof files]),
    writeFile: () => {},
    stdinNow(_count, raw) {
      expect(raw).toBe(true);
      if (quiet-- > 0) return undefined;
      const next = rest.shift();
      if (typeof next === 'number') quiet = next;
      return typeof next === 'string' ? new TextEncoder().encode(next) : undefined;
    },
    sleep: () => {},
    isTerminal: true,
    terminalSize: { rows: 30, columns: 100 },
    color: false,
  };
  return { status: await dispatch(['run', program], io, { debug: true }), out };
}

describe('--tty', () => {
  it('echoes, edits lines, and ends with the script', async () => {
    const { status, stdout } = await mtemu(['run', '--tty', 'echo.s'], files, 'hello\nab\x7fc\nlast');
    expect(stdout).toBe('hello\r\nhello\r\nab\b \bc\r\nac\r\nlastlast');
    expect(status).toBe(0);
  });

  it('without it, streams are pipes', async () => {
    const { status, stdout } = await mtemu(['run', 'echo.s'], files, 'hello\nab\x7fc\n');
    expect([status, stdout]).toEqual([1, 'hello\nab\x7fc\n']);
  });

  it('Control-C is a signal', async () => {
    const { status, stdout } = await mtemu(['run', '--tty', 'echo.s'], files, 'a\nb\x03c\n');
    expect([status, stdout]).toEqual([130, 'a\r\na\r\n^Cc\r\n']);
  });

  it('is the same run in all engines', async () => {
    for (const engine of ['evaluate', 'interpret']) {
      const { stdout } = await mtemu(['run', '--tty', '--engine', engine, 'echo.s'], files, 'one\ntwo\n');
      expect(stdout).toBe('one\r\none\r\ntwo\r\ntwo\r\n');
    }
  });

  it('is for the mini-kernel', async () => {
    const { status, stderr } = await mtemu(['run', '--bare', '--tty', 'spin.s'], files);
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('--tty is for programs under the mini-kernel'),
    ]);
  });
});

describe('a terminal of the host', () => {
  it('is the guest’s, key by key', async () => {
    const { status, out } = await live('echo.s', ['a', 3, 'b\r', 5, '\x04']);
    expect([status, out]).toEqual([0, 'ab\r\nab\r\n']);
  });

  it('stops a program that reads nothing', async () => {
    expect(await live('spin.s', [2, '\x03'])).toEqual({ status: 130, out: '^C' });
  });

  it('Control-A x ends the run, Control-A twice is one', async () => {
    expect(await live('echo.s', ['x\x01\x01\r', 2, '\x01x'])).toEqual({ status: 0, out: 'x^A\r\nx\x01\r\n' });
  });
});

const busybox = process.env['MTEMU_ARM64_BUSYBOX'];

it.skipIf(busybox === undefined)('a shell has job control on it [needs MTEMU_ARM64_BUSYBOX]', async () => {
  const script = 'tty; stty size\ncat\nab\n\x1ajobs\nfg\ncd\n\x03sleep 100 &\nexit 7\n';
  const options = ['run', '--tty', 'busybox', 'sh'];
  const { status, stdout } = await mtemu(options, { busybox: readFileSync(busybox!) }, script);
  const lines = stdout.split(/\r?\n/);
  for (const line of ['/dev/console', '24 80', 'ab', 'cd']) expect(lines).toContain(line);
  expect(stdout).toContain('^C');
  expect(stdout).toMatch(/\[1\]\+\s+Stopped\s+cat/);
  expect(status).toBe(7);
});
