/** `mtemu isa`: what it lists and how it explains, as files to read; `npx vitest -u` rewrites them. */
import { describe, expect, it } from 'vitest';
import { ROWS } from '../../isa/index.js';
import { InputError } from '../../src/base/index.js';
import type { CommandIo } from '../../src/cli/command.js';
import { isaCommand } from '../../src/cli/isa.js';

async function run(...args: string[]): Promise<{ status: number; out: string }> {
  let out = '';
  const io: CommandIo = {
    stdout: (data) => {
      out += typeof data === 'string' ? data : new TextDecoder().decode(data);
    },
    stderr: () => {},
    readFile: () => new Uint8Array(),
    writeFile: () => {},
    color: false,
  };
  return { status: await isaCommand.run(args, io), out };
}

describe('mtemu isa', () => {
  it.each([
    ['stg', ['STG']],
    ['ldrb', ['ldrb']],
    ['bfi', ['bfi']],
    ['tbz', ['tbz']],
    ['retaa', ['retaa']],
    ['smulh', ['SMULH_dp_3src']],
    ['class-branch', ['--class', 'branch']],
    ['class-pauth', ['--class', 'pauth']],
  ])('prints %s', async (name, args) => {
    const { status, out } = await run(...args);
    expect(status).toBe(0);
    await expect(out).toMatchFileSnapshot(`./golden/isa-${name}.txt`);
  });

  it('lists every row once, with its section', async () => {
    const { out } = await run();
    const lines = out.split('\n');
    for (const row of ROWS) {
      const mine = lines.filter((line) => line.includes(` ${row.id} `));
      expect(mine.length, row.id).toBe(1);
      expect(mine[0]).toContain(row.arm);
    }
    expect(out).toContain(`${ROWS.length} encodings`);
  });

  it('explains every mnemonic and alias, with an example of each encoding', async () => {
    const names = new Set(
      ROWS.flatMap((row) => [...row.names.map((n) => n.name), ...row.aliases.map((a) => a.name)]),
    );
    for (const name of names) {
      const { out } = await run(name);
      const explained = out.split('\n\n');
      for (const text of explained)
        expect(text, name).toMatch(/^\w+: [\s\S]*encoding [\s\S]*example {2}[0-9a-f]{8} /);
    }
  });

  it('gives the same as data', async () => {
    const { out } = await run('--json', 'irg');
    const data: unknown = JSON.parse(out);
    expect(data).toMatchObject([{ names: ['irg'], class: 'mte', syntax: [expect.stringMatching(/^irg /)] }]);
  });

  it('suggests what an unknown mnemonic may have meant', async () => {
    await expect(run('stgz')).rejects.toThrow(InputError);
    const error = await run('bfix').catch((thrown: unknown) => thrown);
    expect((error as InputError).diagnostics[0]).toMatchObject({
      code: 'ISA-UNKNOWN',
      help: expect.stringContaining('bfi'),
    });
  });

  it('refuses an unknown class with the list of classes', async () => {
    const error = await run('--class', 'mt').catch((thrown: unknown) => thrown);
    expect((error as InputError).diagnostics[0]?.help).toContain('mte');
  });
});
