/* kern_main.c: mneme-kern proves every kernel of every level against the plain one on random shapes
 * and numbers, then times them. usage: mneme-kern [--cpu LEVEL] [--bench] [--seconds S] [--seed N]
 * [FILTER] LEVEL: this one alone, whole (default: MN_TEST_CPU of the environment, or auto: all,
 * each where it differs from the one below); FILTER: part of a kernel's name; S: time spent on one
 * timing, 0.25. Exit: 0 proven, 1 not, 2 usage, 77 the machine lacks the level. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/cpu.h"
#include "bench.h"
#include "probe.h"
#if defined(__x86_64__) && !defined(MN_REF_ONLY)
#include "kern/x86/x86.h"
#define USE_PAIRS(k) mn__kern_use_pairs(k)
#else
#define USE_PAIRS(k) (void)(k)
#endif

#define USAGE "mneme-kern [--cpu LEVEL] [--bench] [--seconds S] [--seed N] [FILTER]"

/* Sanitizers watch what surrounds the kernels; guard pages watch the kernels in every build. */
#ifdef MN_TEST_SANITIZED
enum { CASES = 40 };
#else
enum { CASES = 150 };
#endif
enum { SPOILED_CASES = 20, EXIT_SKIPPED = 77 };

static const struct kernel {
    const char *name;
    size_t at; /* in struct mn__kern */
    void (*prove)(struct probe *p);
} kernels[] = {
#define MN_KERN(name, args, tol) {#name, offsetof(struct mn__kern, name), prove_##name},
#include "kern/kern.def"
#undef MN_KERN
};

static struct {
    int n_passed, n_failed, n_skipped;
} total;
static struct probe *running;

/* A fault inside a kernel (a guard page, an instruction the machine lacks) is that kernel's
 * failure, not the program's end. */
static void on_fault(int sig)
{
    siglongjmp(running->crash, sig);
}

static int same_entry(const struct mn__kern *a, const struct mn__kern *b, size_t at)
{
    return memcmp((const char *)a + at, (const char *)b + at, sizeof(void (*)(void))) == 0;
}

static void prove_cases(struct probe *p, const struct kernel *k, int n)
{
    running = p;
    mn__tiles_begin(p->kern);
    for (volatile int i = 0; i < n && (p->spoil || p->n_bad == 0); i++) {
        int sig = sigsetjmp(p->crash, 1);
        if (sig) {
            printf("  %s %s, %s: signal %d (%s)\n", p->kernel, p->level, p->shape, sig,
                   strsignal(sig));
            p->n_bad++;
        } else {
            k->prove(p);
        }
        guard_release(p);
    }
    mn__tiles_end(p->kern);
}

static void count(const char *kernel, const char *level, bool good)
{
    if (good)
        total.n_passed++;
    else
        total.n_failed++;
    printf("%-16s %-11s %s\n", kernel, level, good ? "ok" : "FAILED");
}

/* A proof that a falsified value slips through proves nothing. */
static void prove_proof(const struct kernel *k, const struct mn__kern *ref, uint64_t seed)
{
    struct probe p = {.ref = ref,
                      .kern = ref,
                      .kernel = k->name,
                      .level = "spoiled",
                      .seed = seed,
                      .spoil = true};
    prove_cases(&p, k, SPOILED_CASES);
    if (p.n_check == 0 || p.n_bad != p.n_check)
        printf("  %s: %d of %d falsified values were noticed\n", k->name, p.n_bad, p.n_check);
    count(k->name, "spoiled", p.n_check > 0 && p.n_bad == p.n_check);
}

/* Kernels of kern that differ from below's. */
static void prove_changed(const char *filter, const char *name, const struct mn__kern *kern,
                          const struct mn__kern *below, uint64_t seed)
{
    struct mn__kern ref;
    mn__kern_init(&ref, MN__CPU_REF);
    for (size_t i = 0; i < COUNT(kernels); i++) {
        const struct kernel *k = kernels + i;
        if ((filter && !strstr(k->name, filter)) || same_entry(kern, below, k->at)) continue;
        struct probe p = {
            .ref = &ref, .kern = kern, .kernel = k->name, .level = name, .seed = seed};
        prove_cases(&p, k, CASES);
        count(k->name, name, p.n_bad == 0 && p.n_check > 0);
    }
}

static void prove_ref(const char *filter, uint64_t seed)
{
    struct mn__kern ref;
    mn__kern_init(&ref, MN__CPU_REF);
    for (size_t i = 0; i < COUNT(kernels); i++)
        if (!filter || strstr(kernels[i].name, filter)) prove_proof(kernels + i, &ref, seed);
}

static void prove_level(const char *filter, int level, bool only, uint64_t seed)
{
    struct mn__kern below, kern;
    const char *name = mn__cpu_level_name((mn__cpu_level)level);
    if (level > (int)mn__cpu_best()) {
        printf("skipped: %s: not on this machine, or not in this build\n", name);
        total.n_skipped++;
        return;
    }
    if (level == MN__CPU_REF) {
        prove_ref(filter, seed);
        return;
    }
    mn__kern_init(&kern, level);
    mn__kern_init(&below, only ? (int)MN__CPU_REF : level - 1);
    prove_changed(filter, name, &kern, &below, seed);
    if (level == MN__CPU_AVX512BF16) { /* what this processor may have been spared */
        below = kern;
        USE_PAIRS(&kern);
        prove_changed(filter, "dpbf16", &kern, &below, seed);
    }
}

static int usage(const char *wrong)
{
    fprintf(stderr, "mneme-kern: %s\nusage: " USAGE "\n", wrong);
    return 2;
}

static bool is_part_of_a_name(const char *filter)
{
    for (size_t i = 0; i < COUNT(kernels); i++)
        if (strstr(kernels[i].name, filter)) return true;
    return false;
}

/* The levels that a name asks for; false where there is no such name. */
static bool choose_levels(const char *cpu, int *first, int *last)
{
    *first = MN__CPU_REF;
    *last = MN__CPU_COUNT - 1;
    if (!cpu || !strcmp(cpu, "auto")) return true;
    while (*first < MN__CPU_COUNT && strcmp(cpu, mn__cpu_level_name((mn__cpu_level)*first)))
        ++*first;
    *last = *first;
    return *first < MN__CPU_COUNT;
}

int main(int argc, char **argv)
{
    const char *filter = NULL, *cpu = getenv("MN_TEST_CPU");
    bool bench = false;
    double seconds = 0.25;
    uint64_t seed = 20240611;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--bench"))
            bench = true;
        else if (!strcmp(argv[i], "--cpu") && i + 1 < argc)
            cpu = argv[++i];
        else if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
            seconds = strtod(argv[++i], NULL);
        else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (argv[i][0] == '-')
            return usage("unknown or incomplete option");
        else
            filter = argv[i];
    }
    int first, last;
    if (!choose_levels(cpu, &first, &last)) return usage("unknown level (--cpu, MN_TEST_CPU)");
    if (filter && !is_part_of_a_name(filter)) return usage("no kernel has this in its name");
    signal(SIGSEGV, on_fault);
    signal(SIGBUS, on_fault);
    signal(SIGILL, on_fault);
    printf("seed %llu, %s\n", (unsigned long long)seed, mn__cpu_model());
    for (int level = first; level <= last; level++) prove_level(filter, level, first == last, seed);
    if (bench && total.n_failed == 0)
        bench_run(filter, first, last < (int)mn__cpu_best() ? last : (int)mn__cpu_best(), seconds);
    printf("%d passed, %d failed, %d skipped\n", total.n_passed, total.n_failed, total.n_skipped);
    if (total.n_failed) return 1;
    return total.n_skipped && !total.n_passed ? EXIT_SKIPPED : 0;
}
