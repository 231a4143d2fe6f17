/* fuzz_namm.c: any bytes at all as a NAMM file. Either they are refused with a sentence and nothing
 * stays behind, or what was read stands in its limits, scores tokens, and comes back the same from
 * a file that it is written to. */
#include "policy/namm_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/heap.h"
#include "tiny_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TOKENS = 35 };

/* Survives NDEBUG: a finding must stop the fuzzer. */
static void check(int holds)
{
    if (!holds) abort();
}

static size_t heap(void)
{
    mn_mem_stats s;
    mn_mem_get_stats(&s);
    return s.total_now;
}

static void run(const mn__namm *m)
{
    static struct mn__kern kern;
    mn__namm_net net = m->net;
    float *x = calloc(TOKENS * net.n_in, sizeof *x), score[TOKENS];
    if (!kern.qk_f32) mn__kern_init(&kern, (int)mn__cpu_best());
    for (int exact = 0; exact < 2; exact++) {
        net.exact = exact;
        size_t bytes = mn__namm_net_scratch(&net, TOKENS) * sizeof(float);
        float *scratch = mn__alloc(MN_MEM_OTHER, bytes);
        check(x && scratch);
        for (size_t i = 0; i < TOKENS * net.n_in; i++) x[i] = (float)(i % 7) - 3;
        mn__namm_net_run(&net, &kern, m->param, x, TOKENS, NULL, score, NULL, scratch);
        mn__free(scratch);
    }
    free(x);
}

/* Nothing is left to be found wrong when a policy is made of it. */
static void make_inputs(const mn__namm *m)
{
    mn__namm_input *in = NULL;
    mn_diag diag = {""};
    for (int half = 0; half < 2; half++) {
        check(mn__namm_input_new(&in, m, half, &diag) == MN_OK);
        mn__namm_input_free(in);
    }
}

/* By way of a file, as bytes: numbers may be NaN. */
static void write_and_read(const mn__namm *m)
{
    const char *path = tiny_model_path("fuzz.namm.gguf");
    mn__namm *back = NULL;
    mn_diag diag = {""};
    check(mn__namm_write(m, path, &diag) == MN_OK && mn__namm_read(&back, path, &diag) == MN_OK);
    remove(path);
    check(back->net.n_in == m->net.n_in && back->n_group == m->n_group);
    check(memcmp(back->param, m->param, mn__namm_net_params(&m->net) * sizeof(float)) == 0);
    check(memcmp(back->mean, m->mean, m->net.n_in * sizeof(float)) == 0);
    check(memcmp(&back->spectrum.gamma, &m->spectrum.gamma, sizeof(double)) == 0);
    check(strcmp(back->options, m->options) == 0 && back->n_note == m->n_note);
    mn__namm_free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mn__gguf *g = NULL;
    mn__namm *m = NULL;
    mn_diag diag = {""};
    size_t before = heap();
    if (mn__gguf_open_memory(&g, data, size, "input", &diag) != MN_OK) return 0; /* fuzz_gguf's */
    if (mn__namm_parse(&m, g, &diag) != MN_OK) {
        check(!m && strlen(diag.text) > strlen("input: "));
    } else {
        check(m->spectrum.hop && m->spectrum.window % m->spectrum.hop == 0);
        check(m->update % m->spectrum.hop == 0 && m->n_group <= MN__NAMM_INPUTS);
        make_inputs(m);
        run(m);
        write_and_read(m);
    }
    mn__namm_free(m);
    mn__gguf_close(g);
    check(heap() == before);
    return 0;
}
