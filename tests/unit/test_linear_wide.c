/* test_linear_wide.c: oneDNN multiplies on our threads and opens none of its own. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <ggml.h>
#include "base/cpu.h"
#include "base/heap.h"
#include "tensor/linear.h"
#ifndef MN_REF_PRODUCT
#include <omp.h>
#endif

/* A block of these sizes is worth several threads to oneDNN. */
enum { N_ROW = 256, N_IN = 4096, N_OUT = 64 };

#if defined(MN_REF_PRODUCT) || defined(MN_REF_ONLY)
static void test_threads(void **state)
{
    (void)state;
    skip(); /* a build without oneDNN */
}
#else
typedef struct call {
    mn__product *p;
    mn__weight w;
    mn__rows x;
    float *y;
} call;

static void multiply(const mn__crew *crew, void *arg)
{
    call *c = arg;
    mn__linear(crew, c->p, &c->w, &c->x, c->y, N_OUT, false);
}

static size_t count_tasks(void)
{
    size_t n = 0;
    DIR *dir = opendir("/proc/self/task");
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static float *ramp(size_t n)
{
    float *x = mn__alloc_array(MN_MEM_OTHER, n, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = (float)(i % 7) - 3;
    return x;
}

/* The caller's number of threads is its own before and after, for whatever else it does. */
static void test_threads(void **state)
{
    (void)state;
    enum { OMP_THREADS = 3 };
    mn_diag diag = {{0}};
    struct mn__kern kern;
    if (mn__cpu_best() < MN__CPU_AVX2) skip();
    mn__kern_init(&kern, MN__CPU_AVX2);
    float *x = ramp(N_ROW * N_IN), *w = ramp(N_OUT * N_IN), *y = ramp(N_ROW * N_OUT);
    call c = {.w = {.name = "w",
                    .data = (const uint8_t *)w,
                    .type = GGML_TYPE_F32,
                    .n_in = N_IN,
                    .n_out = N_OUT,
                    .row_bytes = N_IN * sizeof *w},
              .x = {.n_row = N_ROW, .n_in = N_IN, .ld = N_IN, .f32 = x},
              .y = y};
    omp_set_num_threads(OMP_THREADS);
    for (int n_thread = 1; n_thread <= 2; n_thread++) {
        assert_int_equal(mn__product_new(&c.p, &kern, n_thread, N_ROW, N_IN, &diag), MN_OK);
        mn__team *team = mn__team_new(n_thread);
        assert_non_null(team);
        const size_t n_before = count_tasks();
        y[0] = 1e9f;
        mn__team_run(team, multiply, &c);
        assert_int_equal(count_tasks(), n_before);
        assert_int_equal(omp_get_max_threads(), OMP_THREADS);
        double want = 0;
        for (size_t i = 0; i < N_IN; i++) want += (double)x[i] * w[i];
        assert_true(want > 1000 && y[0] - want < 1 && want - y[0] < 1);
        mn__team_free(team);
        mn__product_free(c.p);
    }
    mn__free(x);
    mn__free(w);
    mn__free(y);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
