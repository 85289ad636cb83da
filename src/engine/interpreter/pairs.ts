/**
 * Pairs of instructions that compiled code has next to each other often: a handler of its own for both
 * saves a dispatch.
 *
 * Keys of forms (see forms.ts), as seen most in traces of loops over memory, sorting, hashing, searching and
 * tagging. Both are forms of the switch, or the build fails.
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

const MOVE = 'ORR_log_shift|1,0||';
const MOVE_W = 'ORR_log_shift|0,0||';
const ADD = 'ADD_addsub_imm|1||';
const SUB = 'SUB_addsub_imm|1||';
const ADD_X = 'ADD_addsub_shift|1,0||';
const ADD_W = 'ADD_addsub_shift|0,0||';
const COMPARE_X = 'SUBS_addsub_shift|1,0||';
const COMPARE_W = 'SUBS_addsub_shift|0,0||';
const BITS = 'UBFM_bitfield|1||';
const LOAD_W_SCALED = 'LDR_w_register||3|0';
/** The accesses of stack frames. */
const FRAME = ['STP_x_offset|||11', 'LDP_x_offset|||11', 'LDR_x_unsigned|||11', 'STR_x_unsigned|||11'];

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
  ...cross(FRAME, [MOVE, ...FRAME, 'LDP_x_post|||1']),
  ...cross([MOVE], [...FRAME, MOVE, 'BL_branch_imm|||', 'BLR_branch_reg|||', 'B_branch_imm|||', COMPARE_X]),
  ...cross(
    [MOVE],
    ['LDR_w_post|||0', 'LDR_x_unsigned|||00', 'LDRB_unsigned|||00', 'SUBS_addsub_imm|1||', ADD],
  ),
  ...cross(
    [ADD],
    [ADD_X, ADD_W, SUB, MOVE, 'STP_x_offset|||11', 'STR_x_unsigned|||00', COMPARE_W, 'CBZ_compbranch|0||'],
  ),
  ...cross([SUB], [SUB, ADD_X, COMPARE_W, 'BL_branch_imm|||', 'B_branch_imm|||', 'STR_w_post|||0']),
  ...cross([ADD_X], ['STG_offset|||00', 'ADDS_addsub_imm|1||', 'SUBS_addsub_imm|1||', COMPARE_W]),
  ...cross([ADD_X], ['LDR_x_unsigned|||11', MOVE]),
  ...cross(['ADDS_addsub_imm|1||', 'ADDS_addsub_imm|0||', 'ANDS_log_shift|0,0||'], ['B_condbranch|||']),
  ...cross(['CCMP_condcmp_imm|1||', 'CCMP_condcmp_imm|0||'], ['B_condbranch|||']),
  ...cross(['ADRP_pcreladdr|||'], [ADD, 'LDR_x_unsigned|||00']),
  ...cross(['LDR_x_post|||0'], [ADD_X]),
  ...cross(['LDR_w_post|||0'], [SUB, ADD]),
  ...cross(LOAD, ['LDR_x_unsigned|||00', ADD]),
  ...cross(['LDR_x_unsigned|||00'], [COMPARE_X, 'STP_x_offset|||11', 'STR_x_unsigned|||11']),
  ...cross(['LDR_w_unsigned|||00'], ['LDR_w_unsigned|||00', ADD_W]),
  ...cross(['LDRB_unsigned|||00'], ['CBNZ_compbranch|0||', 'CBZ_compbranch|0||', 'RET_branch_reg|||']),
  ...cross(['LDP_x_offset|||00'], [SUB, MOVE]),
  ...cross(['STP_x_pre|||1'], [ADD, MOVE]),
  ...cross(['STR_w_unsigned|||00'], [COMPARE_X, 'SUBS_addsub_imm|0||']),
  ...cross([LOAD_W_SCALED], [ADD, BITS, ADD_W, 'EOR_log_shift|0,1||', 'EXTR_extract|0||']),
  ...cross([BITS], [LOAD_W_SCALED, 'LDRH_register||3|0', ADD_X, ADD_W]),
  ...cross(
    ['EOR_log_shift|0,0||'],
    [BITS, 'STRB_post|||0', 'EOR_log_shift|0,3||', 'AND_log_imm|1||', LOAD_W_SCALED],
  ),
  ...cross(['EOR_log_shift|0,1||'], ['B_branch_imm|||', MOVE_W, COMPARE_X]),
  ...cross(['EOR_log_shift|0,3||'], [ADD_W]),
  ...cross([MOVE_W], ['EOR_log_shift|0,1||', ADD_W, 'SUBS_addsub_imm|0||']),
  ...cross([ADD_W], ['BIC_log_shift|0,0||', 'AND_log_shift|0,0||', 'EXTR_extract|0||', LOAD_W_SCALED]),
  ...cross(['AND_log_shift|0,0||'], [ADD_W, 'AND_log_shift|0,0||', 'EXTR_extract|0||']),
  ...cross(['BIC_log_shift|0,0||'], ['EOR_log_shift|0,0||', 'EOR_log_shift|0,3||']),
  ...cross(['EXTR_extract|0||'], ['EOR_log_shift|0,0||']),
  ...cross(
    ['AND_log_imm|1||', 'AND_log_imm|0||'],
    [LOAD_W_SCALED, ADD_X, 'SUBS_addsub_imm|1||', 'SUBS_addsub_imm|0||'],
  ),
  ...cross(['STRB_register||3|0', 'STR_w_register||3|0'], [ADD]),
  ...cross(['ADD_addsub_ext|1,0||'], ['STRB_register||3|0']),
  ...cross(['ADD_addsub_ext|1,2||'], ['STG_offset|||00']),
  ...cross(['ADD_addsub_imm|0||'], [COMPARE_W]),
  ...cross(['LDRB_post|||0'], ['EOR_log_shift|0,0||']),
  ...cross(['CSINV_condsel|0||'], ['RET_branch_reg|||']),
  ...cross(['B_condbranch|||'], [MOVE]),
  ...cross(['MOVZ_movewide|1||'], [SUB]),
];
