// The chosen language, remembered on this screen, and the words, numbers and times in it.

import { bytes, measure, number, percent, type Language } from '../format/number';
import { age_parts, long_date, moment } from '../format/time';
import { LANGUAGES, translate, translate_code, type Key, type Params } from './catalogue';

const STORED = 'simpul.language';

function remembered(): Language {
  try {
    const stored = localStorage.getItem(STORED);
    return LANGUAGES.find((language) => language === stored) ?? 'id';
  } catch {
    return 'id'; // storage is forbidden on this screen: Indonesian, as on a first visit
  }
}

const chosen = $state({ language: remembered() });

export function language(): Language {
  return chosen.language;
}

export function choose_language(wanted: Language): void {
  chosen.language = wanted;
  try {
    localStorage.setItem(STORED, wanted);
  } catch {
    // Not remembered: the choice holds until the page is closed.
  }
}

export function t(key: Key, params?: Params): string {
  return translate(chosen.language, key, params);
}

/** The word for a code of the API. */
export function word(group: string, code: string): string {
  return translate_code(chosen.language, group, code);
}

const ages = (age_ms: number): string[] =>
  age_parts(age_ms / 1_000).map((part) => translate(chosen.language, `age.${part.unit}`, { n: part.value }));

export const show = {
  number: (value: number, decimals_max = 0): string => number(value, chosen.language, decimals_max),
  measure: (value: number): string => measure(value, chosen.language),
  bytes: (value: number): string => bytes(value, chosen.language),
  percent: (share: number): string => percent(share, chosen.language),
  date: (ms: number, utc_offset_minutes: number): string => long_date(ms, utc_offset_minutes, chosen.language),
  moment: (ms: number, now_ms: number, utc_offset_minutes: number): string =>
    moment(ms, now_ms, utc_offset_minutes, chosen.language),
  /** An age in milliseconds. One that lies more than a minute in the future is said to: a clock somewhere is wrong. */
  age: (age_ms: number): string => {
    if (age_ms < -60_000) return translate(chosen.language, 'age.future', { age: show.age(-age_ms) });
    return ages(age_ms).join(' ');
  },
  /** The leading unit of an age alone, for places without room. */
  rough_age: (age_ms: number): string => age_ms < -60_000 ? show.age(age_ms) : ages(age_ms).slice(0, 1).join(' '),
};
