import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** The bundler's loaders for assembly, trees and binaries, so that tests import what the build imports. */
const assets = {
  name: 'assets',
  enforce: 'pre' as const,
  load(id: string) {
    const file = id.split('?')[0]!;
    if (/\.(s|dts)$/.test(file)) return `export default ${JSON.stringify(readFileSync(file, 'utf8'))};`;
    if (/\.elf$/.test(file)) {
      const base64 = readFileSync(file).toString('base64');
      return `export default Uint8Array.from(atob(${JSON.stringify(base64)}), (c) => c.charCodeAt(0));`;
    }
    return undefined;
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
  },
});
