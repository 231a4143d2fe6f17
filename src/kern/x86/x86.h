/* x86.h: names of the x86 variants, mn__<kernel>_<level>. A name is declared for every kernel and
 * level; those that exist are the ones in init.c. ISA files include this, kern.h, number headers of
 * this folder and <immintrin.h>, nothing else. */
#ifndef MN_KERN_X86_H
#define MN_KERN_X86_H

#include "kern/kern.h"

#define MN_KERN(name, args, tol)       \
    void mn__##name##_avx2 args;       \
    void mn__##name##_avx512 args;     \
    void mn__##name##_avx512vnni args; \
    void mn__##name##_avx512bf16 args; \
    void mn__##name##_amx args;
#include "kern/kern.def"
#undef MN_KERN

/* Overwrite the entries of k for which the level has something faster. */
void mn__kern_init_x86(struct mn__kern *k, int level);

/* The products by dpbf16, which init takes only where they are the faster ones; mneme-kern proves
 * them everywhere. */
void mn__kern_use_pairs(struct mn__kern *k);

/* All eight tiles as 16 rows of 64 bytes; and back to the initial state, which spares the system
 * saving 8 KB per switch. */
void mn__tiles_load_amx(void);
void mn__tiles_release_amx(void);

#endif
