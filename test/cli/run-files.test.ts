/**
 * `mtemu run` and the host's files: standard input, `--root`, the guest's own program.
 */
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mtemu } from './in-process.js';

/** Copies a descriptor to descriptor 1. */
const COPY = `
copy:   mov     x20, x0
1:      mov     x0, x20
        mov     x1, sp
        sub     x1, x1, #1024
        mov     x2, #100
        mov     x8, #63
        svc     #0
        cmp     x0, #0
        b.le    2f
        mov     x2, x0
        mov     x0, #1
        mov     x1, sp
        sub     x1, x1, #1024
        mov     x8, #64
        svc     #0
        b       1b
2:      ret
`;
const EXIT = `
        mov     x8, #94
        svc     #0
`;
const cat = `        .global _start
_start: mov     x0, #0
        bl      copy
        neg     x0, x0
${EXIT}${COPY}`;
/** Opens argv[1] for reading, or with O_WRONLY|O_CREAT|O_APPEND where there is an argv[2], and exits with errno. */
const open = `        .global _start
_start: ldr     x10, [sp]
        ldr     x19, [sp, #16]
        mov     x2, #0
        cmp     x10, #3
        b.ne    1f
        mov     x2, #0x441
1:      mov     x0, #-100
        mov     x1, x19
        mov     x3, #0644
        mov     x8, #56
        svc     #0
        cmp     x0, #0
        neg     x1, x0
        csel    x1, x1, xzr, lt
        mov     x21, x1
        b.lt    2f
        cmp     x10, #3
        b.eq    3f
        bl      copy
        b       2f
3:      mov     x20, x0                 // write to it, and read it anew
        mov     x1, x19
        mov     x2, #1
        mov     x8, #64
        svc     #0
        mov     x0, #-100
        mov     x1, x19
        mov     x2, #0
        mov     x8, #56
        svc     #0
        bl      copy
2:      mov     x0, x21
${EXIT}${COPY}`;

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'mtemu-root-'));
  mkdirSync(join(made, 'root/etc'), { recursive: true });
  writeFileSync(join(made, 'outside'), 'secret');
  writeFileSync(join(made, 'root/etc/motd'), 'hello from the host\n');
  symlinkSync('/etc/motd', join(made, 'root/link'));
  symlinkSync(join(made, 'outside'), join(made, 'root/escape'));
  symlinkSync('../../../../outside', join(made, 'root/climb'));
  return made;
}

describe('standard input', () => {
  it('is read to its end', async () => {
    const text = 'line\n'.repeat(100);
    const outcome = await mtemu(['run', 'cat.s'], { 'cat.s': cat }, text);
    expect(outcome).toMatchObject({ status: 0, stdout: text, stderr: '' });
  });

  it('is at its end where there is none', async () => {
    expect(await mtemu(['run', 'cat.s'], { 'cat.s': cat })).toMatchObject({ status: 0, stdout: '' });
  });
});

describe('--root', () => {
  const ENOENT = 2;
  const run = (root: string, ...args: string[]) =>
    mtemu(['run', '--root', join(root, 'root'), 'open.s', ...args], { 'open.s': open });

  it('shows the folder, its links resolved inside it', async () => {
    const root = folder();
    expect(await run(root, '/etc/motd')).toMatchObject({ status: 0, stdout: 'hello from the host\n' });
    expect(await run(root, 'etc/../link')).toMatchObject({ status: 0, stdout: 'hello from the host\n' });
    expect(await run(root, '/etc/none')).toMatchObject({ status: ENOENT, stdout: '' });
  });

  it('lets nothing out', async () => {
    const root = folder();
    for (const path of ['/escape', '/climb', '/../outside', '/../../etc/passwd']) {
      expect([path, (await run(root, path)).status]).toEqual([path, ENOENT]);
    }
  });

  it('takes what the guest writes into memory, and leaves the host as it was', async () => {
    const root = folder();
    const outcome = await run(root, '/etc/motd', 'append');
    expect(outcome).toMatchObject({ status: 0, stdout: 'hello from the host\n/' });
    expect(readFileSync(join(root, 'root/etc/motd'), 'utf8')).toBe('hello from the host\n');
  });

  it('has to be a folder', async () => {
    const outcome = await mtemu(['run', '--root', '/no/such/folder', 'open.s'], { 'open.s': open });
    expect(outcome.status).toBe(2);
    expect(outcome.stderr).toContain('CLI-READ');
  });
});

describe('the guest finds', () => {
  it.each([
    ['/proc/self/cmdline', 'open.s\0/proc/self/cmdline\0'],
    ['/proc/self/comm', 'open.s\n'],
    ['/sys/devices/system/cpu/cpu0/mte_tcf_preferred', 'async\n'],
    ['/proc/sys/kernel/pid_max', '32768\n'],
  ])('%s', async (path, content) => {
    const outcome = await mtemu(['run', 'open.s', path], { 'open.s': open });
    expect(outcome).toMatchObject({ status: 0, stdout: content });
  });

  it('its mappings in /proc/self/maps and smaps, tagged ones marked', async () => {
    const maps = await mtemu(['run', 'open.s', '/proc/self/maps'], { 'open.s': open });
    expect(maps.stdout).toMatch(/^00400000-00401000 r-xp .* \/open\.s\n/);
    expect(maps.stdout).toMatch(/ rw-p .*\[stack\]\n$/);
    const smaps = await mtemu(['run', 'open.s', '/proc/self/smaps'], { 'open.s': open });
    expect(smaps.stdout.match(/^VmFlags: rd/gm)?.length).toBe(maps.stdout.trim().split('\n').length);
  });

  it('nothing that can wake it: the run ends with 124', async () => {
    const pause = `        .global _start
_start: mov     x0, sp
        str     xzr, [x0]
        mov     x1, #8
        mov     x8, #133                // rt_sigsuspend
        svc     #0
`;
    const outcome = await mtemu(['run', 'pause.s'], { 'pause.s': pause });
    expect(outcome.status).toBe(124);
    expect(outcome.stderr).toContain('nothing in the machine can wake one');
  });
});
