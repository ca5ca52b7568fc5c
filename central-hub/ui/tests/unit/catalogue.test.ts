// The words: the same in every language, all of them used, none of them hidden in a component.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, type AST } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';
import { translate, translate_code } from '../../src/i18n/catalogue';
import en from '../../src/i18n/en.json';
import id from '../../src/i18n/id.json';

const SOURCE = join(import.meta.dirname, '../../src');
const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(svelte|ts)$/.test(name));
const read = (name: string): string => readFileSync(join(SOURCE, name), 'utf8');
const places = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '').sort();

/** Attributes that people read or hear. */
const SPOKEN = ['title', 'alt', 'placeholder', 'aria-label', 'aria-description', 'aria-roledescription', 'aria-valuetext', 'label'];

/** Text in a component's markup that holds a letter and did not come from the catalogue. */
function hard_coded(source: string): string[] {
  const found: string[] = [];
  const letters = (text: string): boolean => /\p{L}/u.test(text);
  const walk = (part: unknown, in_markup: boolean): void => {
    if (Array.isArray(part)) return part.forEach((each) => walk(each, in_markup));
    if (typeof part !== 'object' || part === null) return;
    const node = part as { type?: string; name?: string; data?: string; value?: unknown };
    if (node.type === 'Text' && in_markup && letters(node.data ?? '')) found.push((node.data ?? '').trim());
    if (node.type === 'Attribute') {
      const spoken = SPOKEN.includes(node.name ?? '');
      return walk(node.value, spoken);
    }
    for (const [key, value] of Object.entries(node)) if (key !== 'metadata') walk(value, in_markup);
  };
  const root: AST.Root = parse(source, { modern: true });
  walk(root.fragment.nodes, true);
  return found;
}

describe('the catalogue', () => {
  it('has the same keys in both languages', () => {
    expect(Object.keys(en).sort()).toEqual(Object.keys(id).sort());
  });

  it('has the same places in both languages', () => {
    for (const key of Object.keys(id) as (keyof typeof id)[]) expect(places(en[key]), key).toEqual(places(id[key]));
  });

  it('has no key that nothing uses', () => {
    const source = files.map(read).join('\n');
    const groups = [...source.matchAll(/\bword\('(\w+)'/g)].map((match) => `${match[1]}.`);
    groups.push(...[...source.matchAll(/`(\w+\.)\$\{/g)].map((match) => match[1] ?? ''));
    const unused = Object.keys(id).filter((key) => !source.includes(`'${key}'`) && !source.includes(`"${key}"`) && !groups.some((group) => group !== '' && key.startsWith(group)));
    expect(unused).toEqual([]);
  });

  it('fills places and shows unknown codes as they are', () => {
    expect(translate('id', 'data.age', { age: '3 dtk' })).toBe('3 dtk lalu');
    expect(translate_code('id', 'liveness', 'late')).toBe('Terlambat');
    expect(translate_code('id', 'liveness', 'asleep')).toBe('asleep');
  });
});

describe('components', () => {
  const components = files.filter((name) => name.endsWith('.svelte'));

  it.each(components)('%s holds no text of its own', (name) => {
    expect(hard_coded(read(name))).toEqual([]);
  });

  it.each(components)('%s says its purpose first', (name) => {
    expect(read(name)).toMatch(/^<!-- /);
  });

  it('would be caught with text of their own', () => {
    expect(hard_coded('<p>Halo</p>')).toEqual(['Halo']);
    expect(hard_coded('{#if x}<p title="Halo">{t(1)}</p>{/if}')).toEqual(['Halo']);
    expect(hard_coded('<p class="halo" data-part="halo">{x} · {y}</p>')).toEqual([]);
  });
});
