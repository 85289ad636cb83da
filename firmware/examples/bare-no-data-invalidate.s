// bare-handover.s without the data invalidate before the bytes start to hold tags: a dirty data line is
// written back over tags on some seeds.
//
//      mtemu run --bare --caches model --seed 7 firmware/examples/bare-no-data-invalidate.s

        .equ    OMIT_DATA_INVALIDATE, 1
        .include "bare-handover.s"
