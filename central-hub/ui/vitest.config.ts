// The unit tests: pure functions, no browser and no component, so without the Svelte plugin.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['tests/unit/**/*.test.ts'], environment: 'node', pool: 'threads', maxWorkers: 2 },
});
