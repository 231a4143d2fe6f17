/* cpu.h: what this processor can do, and the level that kernels are chosen for. */
#ifndef MN_BASE_CPU_H
#define MN_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include "mneme/status.h"

/* Each level includes those before it. */
#define MN__CPU_MAP(X) \
    X(REF, "ref") X(AVX2, "avx2") X(AVX512, "avx512") X(AVX512BF16, "avx512bf16") X(AMX, "amx")
typedef enum mn__cpu_level {
#define X(name, text) MN__CPU_##name,
    MN__CPU_MAP(X)
#undef X
        MN__CPU_COUNT
} mn__cpu_level;

/* Highest level this machine grants. AMX only after the kernel has granted tile data (asked once,
 * by arch_prctl). AVX2 means AVX2+FMA+F16C+BMI2; AVX512 means F+BW+DQ+VL (+VNNI is a flag of its
 * own, below); AMX means TILE+BF16. */
mn__cpu_level mn__cpu_best(void);
bool mn__cpu_has_vnni(void); /* AVX512_VNNI with VL */
const char *mn__cpu_level_name(mn__cpu_level level);
mn_status
mn__cpu_level_parse(const char *name, mn__cpu_level *out,
                    mn_diag *diag); /* "auto": best; too high: MN_EUSAGE with a sentence */
const char *mn__cpu_model(void);    /* brand string */
int mn__cpu_count(void);            /* processors this process may run on */
/* Bytes of the machine's memory, or what its control group grants where that is less. */
size_t mn__memory_size(void);

#endif
