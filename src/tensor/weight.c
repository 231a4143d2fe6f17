/* weight.c: rows of a weight as floats, and our own copies of it. */
#include <ggml.h>
#include <string.h>
#include "base/diag.h"
#include "tensor/linear_internal.h"

void mn__weight_widen(const mn__weight *w, size_t row, size_t n, float *out, size_t ld)
{
    ggml_to_float_t to_float = ggml_get_type_traits((enum ggml_type)w->type)->to_float;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *src = w->data + (row + i) * w->row_bytes;
        if (w->type == GGML_TYPE_F32)
            memcpy(out + i * ld, src, w->n_in * sizeof(float));
        else
            to_float(src, out + i * ld, (int64_t)w->n_in);
    }
}

void mn__weight_row(const mn__weight *w, size_t row, float *out)
{
    mn__weight_widen(w, row, 1, out, w->n_in);
}

static size_t panel_bytes(const mn__weight *w)
{
    return MN__MM_COLS * mn__round_up(w->n_in, 32) * sizeof(mn_bf16);
}

size_t mn__weight_pack_bytes(const mn__weight *w, const struct mn__kern *kern, unsigned what)
{
    size_t bytes = what & MN__PACK_DOTS ? mn__dots_bytes(w) : 0;
    if (what & MN__PACK_PANELS && mn__product_is_bf16(kern))
        bytes += (w->n_out + MN__MM_COLS - 1) / MN__MM_COLS * panel_bytes(w);
    return bytes ? bytes + sizeof(mn__packed) : 0;
}

static mn_status pack_panels(const mn__weight *w, mn__packed *packed, const struct mn__kern *kern)
{
    size_t n_panel = (w->n_out + MN__MM_COLS - 1) / MN__MM_COLS, k_pad = mn__round_up(w->n_in, 32);
    float *wide = mn__alloc_array(MN_MEM_SCRATCH, MN__MM_COLS * sizeof(float), w->n_in);
    packed->panels = mn__alloc_array(MN_MEM_WEIGHTS, n_panel, panel_bytes(w));
    bool is_held = wide && packed->panels;
    for (size_t i = 0; is_held && i < n_panel; i++) {
        size_t row = i * MN__MM_COLS, rest = w->n_out - row,
               n = rest < MN__MM_COLS ? rest : MN__MM_COLS;
        mn__weight_widen(w, row, n, wide, w->n_in);
        kern->mm_pack_bf16(packed->panels + row * k_pad, wide, w->n_in, n, w->n_in, k_pad);
    }
    mn__free(wide);
    return is_held ? MN_OK : MN_ENOMEM;
}

static mn_status pack_dots(const mn__weight *w, mn__packed *packed)
{
    packed->dots = mn__alloc(MN_MEM_WEIGHTS, mn__dots_bytes(w));
    if (!packed->dots) return MN_ENOMEM;
    mn__dots_pack(w, packed->dots);
    return MN_OK;
}

mn_status mn__weight_pack(mn__weight *w, const struct mn__kern *kern, unsigned what, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__weight_unpack(w);
    size_t bytes = mn__weight_pack_bytes(w, kern, what);
    if (bytes == 0) return MN_OK;
    mn__packed *packed = mn__alloc_zero(MN_MEM_WEIGHTS, sizeof *packed);
    st = packed ? MN_OK : MN_ENOMEM;
    w->packed = packed;
    if (st == MN_OK && what & MN__PACK_DOTS && mn__dots_bytes(w)) st = pack_dots(w, packed);
    if (st == MN_OK && what & MN__PACK_PANELS && mn__product_is_bf16(kern))
        st = pack_panels(w, packed, kern);
    if (st != MN_OK) {
        mn__weight_unpack(w);
        return mn__fail(diag, st, "%s: %zu bytes wanted for a faster copy, refused", w->name,
                        bytes);
    }
    return MN_OK;
}

void mn__weight_unpack(mn__weight *w)
{
    if (!w->packed) return;
    mn__free(w->packed->panels);
    mn__free(w->packed->dots);
    mn__free(w->packed);
    w->packed = NULL;
}

void mn__rows_set(const struct mn__kern *kern, mn__rows *rows, size_t i, const float *x)
{
    if (rows->q8) {
        mn__q8_row to = mn__q8_row_at(rows->q8 + i * mn__q8_row_bytes(rows->n_in), rows->n_in);
        kern->quant_q8(to.q, to.scale, to.sum, x, rows->n_in);
        return;
    }
    if (!rows->bf16) {
        memcpy(rows->f32 + i * rows->ld, x, rows->n_in * sizeof(float));
        return;
    }
    mn_bf16 *row = rows->bf16 + i * rows->ld;
    kern->f32_to_bf16(row, x, rows->n_in);
    memset(row + rows->n_in, 0, (rows->ld - rows->n_in) * sizeof *row);
}

void mn__rows_settle(const mn__crew *crew, const struct mn__kern *kern, mn__rows *rows)
{
    size_t begin, end;
    if (!rows->q8 || !rows->f32) return;
    mn__team_split(crew, rows->n_row, 1, &begin, &end);
    for (size_t i = begin; i < end; i++) mn__rows_set(kern, rows, i, rows->f32 + i * rows->ld);
}
