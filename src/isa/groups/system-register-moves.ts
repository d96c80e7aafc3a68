/** MRS, MSR (register), SYS and SYSL. DDI0487 C4.1.93, "System register move" and "System instructions". */
import { insn, trapped } from '../row.js';
import type { Split } from '../row.js';
import {
  SYSTEM_OPERATIONS,
  SYSTEM_REGISTERS,
  systemEncoding,
  systemOperationIndex,
  systemRegisterIndex,
} from '../system-registers.js';
import { reg } from '../text.js';

interface Fields {
  readonly o0: number;
  readonly op1: number;
  readonly CRn: number;
  readonly CRm: number;
  readonly op2: number;
}

const encodingOf = ({ o0, op1, CRn, CRm, op2 }: Fields): number => systemEncoding(2 + o0, op1, CRn, CRm, op2);

/** One handler for each register, and one for encodings that none has. */
const REGISTER: Split<Fields> = {
  count: SYSTEM_REGISTERS.length + 1,
  of: (fields) => systemRegisterIndex(encodingOf(fields)),
};

const generic = ({ o0, op1, CRn, CRm, op2 }: Fields): string => `s${2 + o0}_${op1}_c${CRn}_c${CRm}_${op2}`;

export const SYSTEM_REGISTER_MOVES = [
  insn('MRS', {
    bits: '1101010100 1 1 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    spec: 'DDI0487 C6.2.228',
    split: { register: REGISTER },
    text: (f) => `mrs\t${reg(1, f.Rt)}, ${nameOf(f)}`,
    exec(s, { Rt }, { register }) {
      s.readSystemRegister(SYSTEM_REGISTERS[register], Rt);
    },
  }),
  insn('MSR (register)', {
    bits: '1101010100 0 1 o0 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    spec: 'DDI0487 C6.2.230',
    split: { register: REGISTER },
    text: (f) => `msr\t${nameOf(f)}, ${reg(1, f.Rt)}`,
    exec(s, { Rt }, { register }) {
      s.writeSystemRegister(SYSTEM_REGISTERS[register], Rt);
    },
  }),
  insn('SYS', {
    bits: '1101010100 0 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5',
    spec: 'DDI0487 C6.2.433',
    split: {
      operation: {
        count: SYSTEM_OPERATIONS.length + 1,
        of: ({ op1, CRn, CRm, op2 }: Omit<Fields, 'o0'>) =>
          systemOperationIndex(systemEncoding(1, op1, CRn, CRm, op2)),
      },
    },
    text: ({ op1, CRn, CRm, op2, Rt }) =>
      `sys\t#${op1}, C${CRn}, C${CRm}, #${op2}${Rt === 31 ? '' : `, ${reg(1, Rt)}`}`,
    exec(s, { Rt }, { operation }) {
      s.systemOperation(SYSTEM_OPERATIONS[operation], Rt);
    },
  }),
  // The operations with a result are IMPLEMENTATION DEFINED, and there are none.
  trapped('SYSL', '1101010100 1 01 op1:3 CRn:4 CRm:4 op2:3 Rt:5', 'DDI0487 C6.2.434'),
];

function nameOf(fields: Fields): string {
  return SYSTEM_REGISTERS[systemRegisterIndex(encodingOf(fields))]?.name.toLowerCase() ?? generic(fields);
}
