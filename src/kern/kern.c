/* kern.c: the dispatch table: plain kernels first, then what the processor's family overwrites. */
#include "base/cpu.h"
#include "kern/kern.h"
#include "kern/ref/ref.h"

/* MN_REF_ONLY builds the plain kernels alone, on any processor. */
#if defined(__x86_64__) && !defined(MN_REF_ONLY)
#include "kern/x86/x86.h"
#define MN__HAS_X86 1
#else
#define MN__HAS_X86 0
#endif

void mn__kern_init(struct mn__kern *k, int level)
{
#define MN_KERN(name, args, tol) k->name = mn__##name##_ref;
#include "kern/kern.def"
#undef MN_KERN
    k->level = level;
#if MN__HAS_X86
    mn__kern_init_x86(k, level);
#endif
}

void mn__tiles_begin(const struct mn__kern *k)
{
#if MN__HAS_X86
    if (k->level >= MN__CPU_AMX) mn__tiles_load_amx();
#else
    (void)k;
#endif
}

void mn__tiles_end(const struct mn__kern *k)
{
#if MN__HAS_X86
    if (k->level >= MN__CPU_AMX) mn__tiles_release_amx();
#else
    (void)k;
#endif
}
