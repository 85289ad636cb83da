/**
 * Pairs of instructions that compiled code has next to each other often: a handler of its own for both
 * saves a dispatch.
 *
 * Keys of forms (see forms.ts), as seen most in traces of loops over memory, sorting, hashing, searching and
 * tagging. A pair whose first or second form does not exist, or is not in the switch, is left out.
 */
const COMPARE = [
  'SUBS_addsub_imm|1||',
  'SUBS_addsub_imm|0||',
  'SUBS_addsub_shift|1,0||',
  'SUBS_addsub_shift|0,0||',
];
const TEST = ['ANDS_log_imm|1||', 'ANDS_log_imm|0||'];
const STEP = ['ADD_addsub_imm|1||', 'ADD_addsub_imm|0||', 'SUB_addsub_imm|1||'];
const STORE_POST = ['STR_x_post|||0', 'STR_w_post|||0', 'STRB_post|||0', 'STP_x_post|||0'];
const LOAD_POST = ['LDR_x_post|||0', 'LDR_w_post|||0', 'LDRB_post|||0'];
const LOAD = ['LDR_x_unsigned|||00', 'LDR_w_unsigned|||00', 'LDRB_unsigned|||00'];
const TAG = ['STG_offset|||00', 'ST2G_offset|||00', 'STG_post|||0'];

const cross = (firsts: readonly string[], seconds: readonly string[]): (readonly [string, string])[] =>
  firsts.flatMap((first) => seconds.map((second) => [first, second] as const));

export const PAIRS: readonly (readonly [first: string, second: string])[] = [
  ...cross([...COMPARE, ...TEST], ['B_condbranch|||']),
  ...cross([...STEP, ...STORE_POST], ['SUBS_addsub_imm|1||', 'SUBS_addsub_shift|1,0||']),
  ...cross(LOAD, [
    'SUBS_addsub_shift|0,0||',
    'ADD_addsub_shift|1,0||',
    'CBZ_compbranch|1||',
    'CBNZ_compbranch|1||',
  ]),
  ...cross(LOAD_POST, STORE_POST.slice(0, 3)),
  ...cross(TAG, ['ADD_addsub_imm|1||', 'SUBS_addsub_imm|1||']),
  ...cross(['ADD_addsub_imm|1||'], ['STG_offset|||00', 'ADD_addsub_imm|1||', 'LDR_x_register||3|0']),
  ['ADRP|||', 'ADD_addsub_imm|1||'],
  ['MOVZ_movewide|1||', 'MOVK_movewide|1||'],
  ['LDP_x_post|||1', 'RET_branch_reg|||'],
  ['EOR_log_shift|0,0||', 'EOR_log_shift|0,1||'],
  ['EOR_log_shift|0,1||', 'EOR_log_shift|0,0||'],
  ['EOR_log_shift|0,0||', 'STR_w_post|||0'],
  ['EOR_log_shift|0,3||', 'EOR_log_shift|0,0||'],
  ['EOR_log_shift|0,3||', 'EOR_log_shift|0,3||'],
  ['AND_log_shift|0,0||', 'EOR_log_shift|0,3||'],
  ['EOR_log_shift|0,3||', 'AND_log_shift|0,0||'],
  ['ORR_log_shift|0,0||', 'ORR_log_shift|0,0||'],
  ['ORR_log_shift|0,0||', 'EXTR_extract|0||'],
  ['EXTR_extract|0||', 'EOR_log_shift|0,3||'],
  ['EXTR_extract|0||', 'ADD_addsub_shift|0,0||'],
  ['ADD_addsub_shift|0,0||', 'ADD_addsub_shift|0,0||'],
  ['ADD_addsub_shift|0,0||', 'ORR_log_shift|0,0||'],
  ['ADD_addsub_shift|0,0||', 'EOR_log_shift|0,0||'],
  ['ADD_addsub_shift|1,0||', 'ADD_addsub_shift|1,0||'],
  ['ADD_addsub_shift|1,0||', 'SUBS_addsub_shift|1,0||'],
  ['UBFM_bitfield|1||', 'ORR_log_shift|1,0||'],
  ['UBFM_bitfield|0||', 'STRB_post|||0'],
];
