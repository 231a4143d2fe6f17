/* product.c: the workspace of products, one part per thread, laid out once. */
#include <ggml-cpu.h>
#include <pthread.h>
#include "base/cpu.h"
#include "base/diag.h"
#include "tensor/linear_internal.h"

void mn__ggml_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ggml_cpu_init);
}

bool mn__product_is_bf16(const struct mn__kern *kern)
{
    return kern->level >= MN__CPU_AVX512BF16;
}

bool mn__product_likes_dots(const struct mn__kern *kern)
{
    return kern->level >= MN__CPU_AVX512 && kern->level < MN__CPU_AMX && mn__cpu_has_vnni();
}

/* The parts of one thread's workspace, by their offsets. */
typedef struct layout {
    size_t quant_row, wide, panel[2], block[2], total;
} layout;

static layout plan(bool is_bf16, size_t max_row, size_t max_in)
{
    layout l;
    size_t n_row = max_row < MN__DOT_ROWS ? max_row : MN__DOT_ROWS;
    size_t wide_rows = is_bf16 ? MN__MM_COLS : 2 * MN__MM_COLS;
    size_t panel = is_bf16 ? MN__MM_COLS * mn__round_up(max_in, 32) * sizeof(mn_bf16) : 0;
    /* ggml's partners take at most two bytes a value (f32 rows are used where they are); ours one,
     * and two words per 32 */
    size_t own = mn__q8_row_bytes(mn__round_up(max_in, 32));
    size_t partner = mn__round_up(2 * max_in, 64);
    l.quant_row = (own > partner ? own : partner) | 64; /* as mn__q8_row_bytes does */
    l.wide = n_row * l.quant_row;
    l.panel[0] = l.wide + mn__round_up(wide_rows * max_in * sizeof(float), 64);
    l.panel[1] = l.panel[0] + panel;
    l.block[0] = l.panel[1] + panel;
    l.block[1] = l.block[0] + MN__BLOCK_FLOATS * sizeof(float);
    l.total = l.block[1] + MN__BLOCK_FLOATS * sizeof(float);
    return l;
}

void mn__product_space(const mn__product *p, int thread, mn__space *out)
{
    layout l = plan(mn__product_is_bf16(p->kern), p->max_row, p->max_in);
    uint8_t *data = p->data + (size_t)thread * p->thread_bytes;
    *out = (mn__space){
        .quant = data,
        .quant_row_bytes = l.quant_row,
        .wide = (float *)(data + l.wide),
        .panel = {(mn_bf16 *)(data + l.panel[0]), (mn_bf16 *)(data + l.panel[1])},
        .block = {(float *)(data + l.block[0]), (float *)(data + l.block[1])},
    };
}

size_t mn__product_bytes(const struct mn__kern *kern, int n_thread, size_t max_row, size_t max_in)
{
    return sizeof(mn__product) +
           (size_t)n_thread * plan(mn__product_is_bf16(kern), max_row, max_in).total;
}

mn_status mn__product_new(mn__product **out, const struct mn__kern *kern, int n_thread,
                          size_t max_row, size_t max_in, mn_diag *diag)
{
    *out = NULL;
    mn__ggml_init();
    mn__product *p = mn__alloc_zero(MN_MEM_SCRATCH, sizeof *p);
    if (p) {
        size_t thread_bytes = plan(mn__product_is_bf16(kern), max_row, max_in).total;
        *p = (mn__product){kern, n_thread, max_row, max_in, thread_bytes, NULL};
        p->data = mn__alloc_array(MN_MEM_SCRATCH, (size_t)n_thread, thread_bytes);
    }
    if (!p || !p->data) {
        mn__product_free(p);
        return mn__fail(diag, MN_ENOMEM, "workspace of products: %zu bytes wanted, refused",
                        mn__product_bytes(kern, n_thread, max_row, max_in));
    }
    *out = p;
    return MN_OK;
}

void mn__product_free(mn__product *p)
{
    if (!p) return;
    mn__free(p->data);
    mn__free(p);
}
