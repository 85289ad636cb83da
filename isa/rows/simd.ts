/** All rows of Advanced SIMD and the cryptographic extensions, structure loads and stores included. */
import type { Row } from '../row.js';
import { rows as aes } from './crypto-aes.js';
import { rows as sha } from './crypto-sha.js';
import { rows as sha512 } from './crypto-sha512.js';
import { rows as across } from './simd-across.js';
import { rows as copy } from './simd-copy.js';
import { rows as element } from './simd-element.js';
import { rows as modifiedImmediate } from './simd-modified-immediate.js';
import { rows as permute } from './simd-permute.js';
import { rows as shift } from './simd-shift.js';
import { rows as threeDifferent } from './simd-three-different.js';
import { rows as threeExtra } from './simd-three-extra.js';
import { rows as threeSame } from './simd-three-same.js';
import { rows as threeSameFp } from './simd-three-same-fp.js';
import { rows as twoRegister } from './simd-two-register.js';
import { rows as twoRegisterFp } from './simd-two-register-fp.js';
import { rows as multiple } from './vector-load-store-multiple.js';
import { rows as single } from './vector-load-store-single.js';

export const rows: readonly Row[] = [
  ...threeSame,
  ...threeSameFp,
  ...threeExtra,
  ...threeDifferent,
  ...twoRegister,
  ...twoRegisterFp,
  ...across,
  ...element,
  ...shift,
  ...modifiedImmediate,
  ...copy,
  ...permute,
  ...aes,
  ...sha,
  ...sha512,
  ...multiple,
  ...single,
];
