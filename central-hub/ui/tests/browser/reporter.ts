// Tells each test in a line and the sum as "N passed, N failed".

import type { Reporter, TestCase, TestModule } from 'vitest/node';

export default class Lines implements Reporter {
  #passed = 0;
  #failed = 0;

  onTestCaseResult(test: TestCase): void {
    const result = test.result();
    if (result.state === 'skipped' || result.state === 'pending') return;
    const good = result.state === 'passed';
    if (good) this.#passed += 1;
    else this.#failed += 1;
    console.log(`${good ? 'ok    ' : 'FAILED'} ${test.fullName}`);
    for (const error of result.errors ?? []) console.log(indent([error.stack ?? error.message, error.diff ?? ''].join('\n')));
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly { message: string }[]): void {
    for (const module of modules) {
      for (const error of module.errors()) {
        this.#failed += 1;
        console.log(`FAILED ${module.relativeModuleId}: ${error.message}`);
      }
    }
    for (const error of errors) console.log(`FAILED ${error.message}`);
    console.log(`${this.#passed} passed, ${this.#failed + errors.length} failed`);
  }
}

const indent = (text: string): string => `       ${text.trim().replaceAll('\n', '\n       ')}`;
