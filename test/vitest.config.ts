import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import type { Reporter } from 'vitest/node';

/**
 * The bundler's loaders for assembly, trees and binaries, so that tests import what the build imports. Modules
 * that the build generates are left out: what uses them generates them anew.
 */
const assets = {
  name: 'assets',
  enforce: 'pre' as const,
  resolveId: (id: string) =>
    /\/dist\/(interpreter|vectors|floats)\.wasm$/.test(id) ? '\0generated' : undefined,
  load(id: string) {
    const file = id.split('?')[0]!;
    if (/\.(s|dts)$/.test(file)) return `export default ${JSON.stringify(readFileSync(file, 'utf8'))};`;
    if (/\.elf$/.test(file)) {
      const base64 = readFileSync(file).toString('base64');
      return `export default Uint8Array.from(atob(${JSON.stringify(base64)}), (c) => c.charCodeAt(0));`;
    }
    if (id === '\0generated') return "export default '';";
    return undefined;
  },
};

/** The last line of a run, in the plain form that any CI can read. */
const plainSummary: Reporter = {
  onTestRunEnd(modules) {
    const counts = { passed: 0, failed: 0, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) counts[test.result().state]++;
    }
    const failed = counts.failed + modules.filter((m) => m.errors().length > 0).length;
    // After the default reporter's own summary, which is written when this event is over.
    setTimeout(() => {
      console.log(`tests: ${counts.passed} passed, ${failed} failed, ${counts.skipped} skipped`);
    }, 0);
  },
};

export default defineConfig({
  plugins: [assets],
  test: {
    root: new URL('..', import.meta.url).pathname,
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'threads',
    reporters: ['default', plainSummary],
  },
});
