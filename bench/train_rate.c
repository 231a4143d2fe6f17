/* train_rate.c: mneme-train-rate times steps of training on random tokens, without a corpus: the
 * speed of a step does not depend on what is read. bench/train_pytorch.py does the same by PyTorch.
 *
 *   mneme-train-rate [--steps N] [SECTION.KEY=VALUE ...]
 *
 * The model is dense, width 512, 8 blocks, 512 tokens a sequence, unless options (those of
 * mneme train) say otherwise. One line of JSON: tokens/s of the fastest step (neighbours on a
 * processor only ever slow it down), seconds of processors' time of the cheapest, and the share of
 * the product peak that oneDNN reaches here in the same precision. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../tools/mneme/bench.h"
#include "base/clock.h"
#include "base/rng.h"
#include "train/loop.h"

static const char *const shape[] = {"model.width=512",  "model.blocks=8",      "model.heads=8",
                                    "model.vocab=8192", "train.length=512",    "train.batch=8",
                                    "train.passes=1",   "train.steps=1000000", "train.rate=3e-4",
                                    "train.threads=0",  "train.recompute=no"};

typedef struct noise {
    mn__row_source source;
    size_t vocab;
} noise;

static mn_status draw(mn__row_source *self, size_t step, size_t row, size_t length, int32_t *out,
                      mn_diag *diag)
{
    const noise *s = (const noise *)self;
    (void)diag;
    for (size_t i = 0; i <= length; i++)
        out[i] = (int32_t)(mn__rng_uniform(step, (uint32_t)row, i, 0) * (double)s->vocab);
    return MN_OK;
}

static double processor_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Of a dense model, per token: two for each multiply-add, backward twice forward; a row sees half
 * of its sequence on average. */
static double flops(const mn__config *c)
{
    const double width = (double)c->model_width, heads = (double)c->model_heads,
                 n_ffn = c->model_activation == 2 ? 3 : 2,
                 qkv = width * (1 + 2 * (double)c->model_kv_heads / heads),
                 attention = width * ((double)c->train_length + 1),
                 block = width * (qkv + width + n_ffn * (double)c->model_hidden) + attention;
    return 6 * ((double)c->model_blocks * block + width * (double)c->model_vocab);
}

/* The options, then the defaults that they leave: steps in all, or 0 after a message. */
static size_t read_options(int n, char **arg, mn__config *c, mn_diag *diag)
{
    size_t n_step = 8;
    mn__config_init(c);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        mn__config_override(c, shape[i], diag);
    for (int i = 1; i < n; i++) {
        if (strcmp(arg[i], "--steps") == 0 && i + 1 < n)
            n_step = strtoul(arg[++i], NULL, 10);
        else if (mn__config_override(c, arg[i], diag) != MN_OK)
            return 0;
    }
    return mn__config_check(c, diag) == MN_OK ? n_step : 0;
}

static bool is_bf16(const mn__config *c)
{
    return c->train_compute == MN__COMPUTE_BF16;
}

int main(int n, char **arg)
{
    mn__config c;
    mn_diag diag = {{0}};
    mn__trainer *t = NULL;
    double wall = 1e30, cpu = 1e30;
    const size_t n_step = read_options(n, arg, &c, &diag);
    noise source = {.source = {1, draw}, .vocab = c.model_vocab};
    mn_status st = n_step ? mn__trainer_new(&t, &c, &source.source, NULL, &diag) : MN_EUSAGE;
    for (size_t i = 0; i < n_step && st == MN_OK; i++) {
        const double wall0 = mn__clock_s(), cpu0 = processor_s();
        st = mn__trainer_step(t, &diag);
        const double wall1 = mn__clock_s() - wall0, cpu1 = processor_s() - cpu0;
        if (i == 0) continue; /* the first meets fresh memory */
        wall = wall1 < wall ? wall1 : wall;
        cpu = cpu1 < cpu ? cpu1 : cpu;
    }
    if (st != MN_OK) {
        fprintf(stderr, "mneme-train-rate: %s\n", diag.text);
        return 1;
    }
    const int n_thread = mn__team_size(t->team);
    const double tokens = (double)c.train_batch * (double)c.train_length * (double)c.train_passes,
                 peak = limit_gemm(is_bf16(&t->learner->config), n_thread);
    printf("{\"engine\":\"mneme\",\"compute\":\"%s\",\"threads\":%d,\"parameters\":%zu,"
           "\"tokens_per_step\":%.0f,\"step_s\":%.4f,\"step_cpu_s\":%.4f,\"tokens_per_s\":%.0f,"
           "\"flops_per_token\":%.4g,\"gemm_peak\":%.4g,\"gemm_peak_share\":%.4f,"
           "\"gemm_peak_share_cpu\":%.4f,\"loss\":%.6f}\n",
           is_bf16(&t->learner->config) ? "bf16" : "f32", n_thread, t->learner->n_w, tokens, wall,
           cpu, tokens / wall, flops(&c), peak, flops(&c) * tokens / wall / peak,
           flops(&c) * tokens * n_thread / cpu / peak, t->last.loss);
    mn__trainer_free(t);
    return 0;
}
