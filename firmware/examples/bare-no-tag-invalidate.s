// bare-handover.s without the tag invalidate before the bytes stop to hold tags: a dirty tag line is
// written back over data on some seeds.
//
//      mtemu run --bare --caches model --seed 7 firmware/examples/bare-no-tag-invalidate.s

        .equ    OMIT_TAG_INVALIDATE, 1
        .include "bare-handover.s"
