// A use after free, caught by a tag check.
//
// A one-object allocator in miniature: map a page with PROT_MTE, give the object a random tag (IRG),
// colour its granules (STG), use it, free it by colouring the granules anew, and then use the old
// pointer once more. Run it with checking on: mtemu run firmware/examples/use-after-free.s

        .equ    SYS_write, 64
        .equ    SYS_exit, 93
        .equ    SYS_mmap, 222
        .equ    PROT_READ, 1
        .equ    PROT_WRITE, 2
        .equ    PROT_MTE, 0x20
        .equ    MAP_PRIVATE_ANONYMOUS, 0x22
        .equ    OBJECT_SIZE, 64                 // four granules

        .text
        .global _start
_start:
        mov     x0, #0
        mov     x1, #4096
        mov     x2, #(PROT_READ | PROT_WRITE | PROT_MTE)
        mov     x3, #MAP_PRIVATE_ANONYMOUS
        mov     x4, #-1
        mov     x5, #0
        mov     x8, #SYS_mmap
        svc     #0
        add     x19, x0, #0x100                 // the heap's first slot

        mov     x0, x19
        bl      allocate
        mov     x20, x0                         // the program's pointer, tag and all

        mov     x1, #42
        str     x1, [x20, #32]                  // fine: the tags match

        mov     x0, x20
        bl      free

        bl      read_freed                      // not fine

        mov     x0, #0
        mov     x8, #SYS_exit
        svc     #0

// x0: untagged slot -> x0: the object's pointer
        .type   allocate, %function
allocate:
        irg     x0, x0
        mov     x1, x0
        mov     x2, #OBJECT_SIZE
1:      stg     x1, [x1], #16
        subs    x2, x2, #16
        b.ne    1b
        ret
        .size   allocate, . - allocate

// x0: the object's pointer. Its memory gets the next tag, so that x0 no longer matches.
        .type   free, %function
free:
        addg    x0, x0, #0, #1
        mov     x1, x0
        mov     x2, #OBJECT_SIZE
1:      stg     x1, [x1], #16
        subs    x2, x2, #16
        b.ne    1b
        ret
        .size   free, . - free

        .type   read_freed, %function
read_freed:
        ldr     x0, [x20, #32]
        ret
        .size   read_freed, . - read_freed
