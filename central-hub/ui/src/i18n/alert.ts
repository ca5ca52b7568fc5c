// What needs someone at a board, in words.

import type { BoardAlert } from '../state/board';
import { t, word } from './language.svelte';

const place = (alert: BoardAlert, what: string): string => (alert.cage === null ? what : t('board.at_cage', { what, cage: alert.cage }));

export function alert_text(alert: BoardAlert): string {
  switch (alert.kind) {
    case 'board':
      return word('board_condition', alert.code);
    case 'power':
      return word('power', alert.code);
    case 'tamper':
      return t('board.lid_open');
    case 'optics':
      return place(alert, word('optics', alert.code));
    case 'cage':
      return place(alert, word('missing', alert.code));
    case 'button':
      return t('board.button_stuck', { desk: alert.desk ?? '' });
  }
}
