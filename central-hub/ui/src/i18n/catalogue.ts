// Every word of the page, in every language. Components hold no text of their own (a test sees to it).

import type { Language } from '../format/number';
import en from './en.json';
import id from './id.json';

export type Key = keyof typeof id;
export type Params = Record<string, string | number>;

export const LANGUAGES: readonly Language[] = ['id', 'en'];

const CATALOGUES: Record<Language, Record<Key, string>> = { id, en };

/** The text with its `{name}` places filled. */
export function translate(language: Language, key: Key, params: Params = {}): string {
  return CATALOGUES[language][key].replace(/\{(\w+)\}/g, (place, name: string) => String(params[name] ?? place));
}

/** The word for a code of the API, such as `liveness` `late`; a code that this page does not know is shown as it is. */
export function translate_code(language: Language, group: string, code: string): string {
  const text = (CATALOGUES[language] as Record<string, string>)[`${group}.${code}`];
  return text ?? code;
}
