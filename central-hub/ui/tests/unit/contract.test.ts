// The page's model and the hub's: the same structs, the same fields, the same types. Both sources are read as text, so
// that a field that the hub gains, loses or makes optional fails here before it fails on a wall.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const HUB = ['model.rs', 'model/board.rs', 'model/examination.rs', 'model/hub.rs', 'model/rollout.rs'].map((file) => readFileSync(join(import.meta.dirname, '../../../src/view', file), 'utf8')).join('\n').replace(/\/\/.*$/gm, '');
const PAGE = readFileSync(join(import.meta.dirname, '../../src/api/model.ts'), 'utf8');

type Fields = Map<string, string>;

/** What the page reads although this hub may be too old to say it. */
const OPTIONAL = /^\w+\?:/;

function interfaces(source: string): Map<string, Fields> {
  const found = new Map<string, Fields>();
  for (const [, name, body] of source.matchAll(/export interface (\w+) \{([^}]*)\}/g)) {
    const lines = (body ?? '').split('\n').map((line) => line.trim());
    const fields = lines.filter((line) => /^\w+: /.test(line) && !OPTIONAL.test(line)).map((line) => line.replace(/;$/, '').split(': ') as [string, string]);
    found.set(name ?? '', new Map(fields));
  }
  return found;
}

function structs(source: string): Map<string, Fields> {
  const found = new Map<string, Fields>();
  for (const [, name, body] of source.matchAll(/pub struct (\w+)(?:<T>)? \{([^}]*)\}/g)) {
    const fields = [...(body ?? '').matchAll(/pub (\w+): ([^,\n]+(?:, \w+>)?),/g)].map(([, field, type]) => [field ?? '', in_page(type ?? '')] as [string, string]);
    found.set(name ?? '', new Map(fields));
  }
  return found;
}

/** A Rust type as serde writes it, in TypeScript. */
function in_page(type: string): string {
  const optional = /^Option<(.+)>$/.exec(type);
  if (optional) return `${in_page(optional[1] ?? '')} | null`;
  const list = /^Vec<(.+)>$/.exec(type);
  if (list) return `${in_page(list[1] ?? '')}[]`;
  const map = /^BTreeMap<String, (.+)>$/.exec(type);
  if (map) return `Record<string, ${in_page(map[1] ?? '')}>`;
  if (/^(i|u)(8|16|32|64)$|^f64$/.test(type)) return 'number';
  if (type === 'String') return 'string';
  if (type === 'bool') return 'boolean';
  return type;
}

/** The words of an enum without fields, as serde writes them. */
function words(name: string): string[] {
  const body = new RegExp(`pub enum ${name} \\{([^}]*)\\}`).exec(HUB)?.[1] ?? '';
  return [...body.matchAll(/^\s*(\w+),$/gm)].map((match) => (match[1] ?? '').replace(/\B[A-Z]/g, '_$&').toLowerCase());
}

describe('the contract with the hub', () => {
  const page = interfaces(PAGE);
  const hub = structs(HUB);

  it('covers every interface of the page', () => {
    expect(page.size).toBeGreaterThan(9);
    for (const name of page.keys()) expect([...hub.keys()]).toContain(name);
  });

  it.each([...page.keys()])('%s has the fields and types that the hub has', (name) => {
    expect(Object.fromEntries(page.get(name) ?? [])).toEqual(Object.fromEntries(hub.get(name) ?? []));
  });

  it.each(['Liveness', 'DatingView', 'OpticalState'])('%s has the words that the hub has', (name) => {
    const line = new RegExp(`export type ${name} = ([^;]+);`).exec(PAGE)?.[1] ?? '';
    expect(line.split(' | ').map((word) => word.replaceAll("'", ''))).toEqual(words(name));
  });
});
