/* cpu.c: what the processor has and the system lets us use. A feature counts only when the
 * system saves its registers (XCR0), and AMX only after the kernel has granted this process tile
 * data. */
#include "base/cpu.h"
#include "base/diag.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    mn__cpu_level best;
    bool has_vnni;
    char model[49];
} cpu = {.model = "unknown processor"};
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

enum { EAX, EBX, ECX, EDX };

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    memset(r, 0, 4 * sizeof *r);
    /* Zeros remain where the leaf is unknown. */
    __get_cpuid_count(leaf, sub, &r[EAX], &r[EBX], &r[ECX], &r[EDX]);
}

static bool has_all(uint64_t word, uint64_t bits)
{
    return (word & bits) == bits;
}

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

static bool ask_for_tiles(void)
{
    /* From asm/prctl.h, where the headers are new enough. */
    enum { REQ_XCOMP_PERM = 0x1023, XFEATURE_TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}

static mn__cpu_level find_level(void)
{
    const uint64_t xcr_avx = 0x6, xcr_avx512 = 0xe6, xcr_amx = 0x60000;
    /* leaf 1 ecx; leaf 7 ebx, twice; leaf 7 ecx; leaf 7 edx; leaf 7.1 eax */
    const uint32_t fma = 1u << 12, osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    const uint32_t bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
    const uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    const uint32_t vnni = 1u << 11;
    const uint32_t amx_bf16 = 1u << 22, amx_tile = 1u << 24;
    const uint32_t avx512_bf16 = 1u << 5;
    uint32_t one[4], seven[4], seven_one[4];
    cpuid(1, 0, one);
    cpuid(7, 0, seven);
    cpuid(7, 1, seven_one);
    if (!has_all(one[ECX], osxsave)) return MN__CPU_REF;
    uint64_t xcr0 = read_xcr0();
    if (!has_all(xcr0, xcr_avx) || !has_all(one[ECX], fma | avx | f16c)) return MN__CPU_REF;
    if (!has_all(seven[EBX], bmi1 | avx2 | bmi2)) return MN__CPU_REF;
    if (!has_all(xcr0, xcr_avx512) || !has_all(seven[EBX], f | dq | bw | vl)) return MN__CPU_AVX2;
    cpu.has_vnni = has_all(seven[ECX], vnni);
    if (!has_all(seven_one[EAX], avx512_bf16)) return MN__CPU_AVX512;
    if (!has_all(xcr0, xcr_amx) || !has_all(seven[EDX], amx_bf16 | amx_tile) || !ask_for_tiles())
        return MN__CPU_AVX512BF16;
    return MN__CPU_AMX;
}

static void find_model(void)
{
    char text[49] = "";
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t r[4];
        cpuid(0x80000002u + i, 0, r);
        memcpy(text + 16 * i, r, sizeof r);
    }
    size_t n = strlen(text), begin = strspn(text, " ");
    while (n > begin && text[n - 1] == ' ') text[--n] = '\0';
    if (n > begin) memcpy(cpu.model, text + begin, n - begin + 1);
}

static void find_cpu(void)
{
    cpu.best = find_level();
#ifdef MN_REF_ONLY /* whatever the processor has, the plain kernels are all there is */
    cpu.best = MN__CPU_REF;
    cpu.has_vnni = false;
#endif
    find_model();
}
#else
static void find_cpu(void)
{
    cpu.best = MN__CPU_REF;
}
#endif

mn__cpu_level mn__cpu_best(void)
{
    pthread_once(&cpu_once, find_cpu);
    return cpu.best;
}

bool mn__cpu_has_vnni(void)
{
    pthread_once(&cpu_once, find_cpu);
    return cpu.has_vnni;
}

const char *mn__cpu_model(void)
{
    pthread_once(&cpu_once, find_cpu);
    return cpu.model;
}

static const char *const level_names[] = {
#define X(name, text) text,
    MN__CPU_MAP(X)
#undef X
        "auto",
    NULL,
};

const char *mn__cpu_level_name(mn__cpu_level level)
{
    return (unsigned)level < MN__CPU_COUNT ? level_names[level] : "unknown";
}

mn_status mn__cpu_level_parse(const char *name, mn__cpu_level *out, mn_diag *diag)
{
    mn__cpu_level best = mn__cpu_best();
    if (strcmp(name, "auto") == 0) {
        *out = best;
        return MN_OK;
    }
    for (int i = 0; i < MN__CPU_COUNT; i++) {
        if (strcmp(name, level_names[i]) != 0) continue;
        if (i > (int)best)
            return mn__fail(diag, MN_EUSAGE,
                            "cpu level '%s' wanted, this machine grants '%s' at most", name,
                            level_names[best]);
        *out = (mn__cpu_level)i;
        return MN_OK;
    }
    const char *near = mn__nearest(name, level_names);
    if (near)
        return mn__fail(diag, MN_EUSAGE, "unknown cpu level '%s'; did you mean '%s'?", name, near);
    return mn__fail(diag, MN_EUSAGE,
                    "unknown cpu level '%s'; known are auto"
#define X(level, text) " " text
                    MN__CPU_MAP(X),
#undef X
                    name);
}

int mn__cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than a cpu_set_t holds */
    return n > 0 ? (int)n : 1;
}

size_t mn__memory_size(void)
{
    long n_page = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t bytes = n_page > 0 && page > 0 ? (size_t)n_page * (size_t)page : 0;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    unsigned long long most;
    if (f && fscanf(f, "%llu", &most) == 1 && most < bytes) bytes = (size_t)most; /* else "max" */
    if (f) fclose(f);
    return bytes;
}
