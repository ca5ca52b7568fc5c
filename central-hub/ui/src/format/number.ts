// Numbers as people of the district write them: 1.234,56 (id-ID); English has 1,234.56.

export type Language = 'id' | 'en';

const LOCALES: Record<Language, string> = { id: 'id-ID', en: 'en-GB' };
const cache = new Map<string, Intl.NumberFormat>();

export function number(value: number, language: Language, decimals_max = 0): string {
  const key = `${language}${decimals_max}`;
  let format = cache.get(key);
  if (!format) {
    format = new Intl.NumberFormat(LOCALES[language], { maximumFractionDigits: decimals_max });
    cache.set(key, format);
  }
  return format.format(value);
}

/** A measured value: up to two decimals, with a real minus sign. */
export function measure(value: number, language: Language): string {
  return number(value, language, 2).replace('-', '−');
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** Bytes in decimal units (1 kB = 1.000 B), as disks are sold. */
export function bytes(value: number, language: Language): string {
  let unit = 0;
  let scaled = value;
  while (scaled >= 1_000 && unit < BYTE_UNITS.length - 1) {
    scaled /= 1_000;
    unit += 1;
  }
  return `${number(scaled, language, unit === 0 || scaled >= 10 ? 0 : 1)} ${BYTE_UNITS[unit]}`;
}

/** A share of 0 to 1 in percent; a little is never shown as nothing. */
export function percent(share: number, language: Language): string {
  const value = share * 100;
  if (value > 0 && value < 0.1) return `<${number(0.1, language, 1)}%`;
  return `${number(value, language, value < 10 ? 1 : 0)}%`;
}
