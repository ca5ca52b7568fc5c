// The browser tests: the built page (dist/) in a real Chromium against a server that plays the hub.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/browser/**/*.test.ts'],
    environment: 'node',
    // One Chromium at a time: the district's machine and the build machine are small.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['./tests/browser/reporter.ts'],
  },
});
