/* export.c: a checkpoint's parameters as tensors of a model's file (mneme/export.h). A tensor has
 * its parameter's name and the shape that lm/tensor.h says. Rows in 8 bits are an I8 tensor with
 * another one beside it, NAME.scale, of a float for each. */
#include "mneme/export.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/heap.h"
#include "lm/config_gguf.h"
#include "lm/tensor.h"
#include "train/checkpoint.h"
#include "train/tokenizer.h"

enum { BLOCK_VALUES = 32, Q8_MOST = 127, GGUF_NAME = 64 };

/* ---- tensors ---- */

/* Rows and their width, as the file counts them. */
typedef struct shape {
    int64_t ne[4];
    size_t n_row;
} shape;

static shape shape_of(const mn__param *p)
{
    shape s;
    mn__tensor_shape(p, s.ne);
    s.n_row = mn__param_size(p) / (size_t)s.ne[0];
    return s;
}

/* Each matrix of a parameter with rows and columns changed: rows [row, row + n_row). */
static mn_status fill_turned(void *ctx, int64_t row, int64_t n_row, float *out, mn_diag *diag)
{
    const mn__param *p = ctx;
    const size_t from = p->dim[p->n_dim - 2],
                 to = p->dim[p->n_dim - 1]; /* rows of w, of the file */
    (void)diag;
    for (size_t r = (size_t)row; r < (size_t)(row + n_row); r++)
        for (size_t i = 0; i < from; i++) *out++ = p->w[(r / to * from + i) * to + r % to];
    return MN_OK;
}

static float scale_of(const mn__param *p, size_t row)
{
    float most = 0;
    for (size_t i = 0; i < p->row; i++) most = fmaxf(most, fabsf(p->w[row * p->row + i]));
    return most / Q8_MOST;
}

static mn_status fill_bytes(void *ctx, int64_t row, int64_t n_row, void *out, mn_diag *diag)
{
    const mn__param *p = ctx;
    int8_t *to = out;
    (void)diag;
    for (size_t r = (size_t)row; r < (size_t)(row + n_row); r++) {
        const float scale = scale_of(p, r), inverse = scale > 0 ? 1 / scale : 0;
        for (size_t i = 0; i < p->row; i++) *to++ = (int8_t)lrintf(p->w[r * p->row + i] * inverse);
    }
    return MN_OK;
}

static mn_status fill_scales(void *ctx, int64_t row, int64_t n_row, float *out, mn_diag *diag)
{
    const mn__param *p = ctx;
    (void)diag;
    for (size_t r = (size_t)row; r < (size_t)(row + n_row); r++)
        out[r - (size_t)row] = scale_of(p, r);
    return MN_OK;
}

static enum ggml_type type_of(const mn__param *p, const shape *s, const mn_export_params *how)
{
    if (p->row) switch (how->tables) {
        case MN_EXPORT_TABLES_F32: return GGML_TYPE_F32;
        case MN_EXPORT_TABLES_BF16: return GGML_TYPE_BF16;
        case MN_EXPORT_TABLES_INT8: return GGML_TYPE_I8;
        case MN_EXPORT_TABLES_AUTO:
            return how->type == MN_EXPORT_F32 ? GGML_TYPE_F32 : GGML_TYPE_BF16;
        }
    if (!p->is_matrix || how->type == MN_EXPORT_F32) return GGML_TYPE_F32;
    return how->type == MN_EXPORT_Q8 && s->ne[0] % BLOCK_VALUES == 0 ? GGML_TYPE_Q8_0
                                                                     : GGML_TYPE_BF16;
}

static void count(const mn__param *p, const shape *s, enum ggml_type type, mn_export_info *info)
{
    size_t bytes = s->n_row * ggml_row_size(type, s->ne[0]);
    if (type == GGML_TYPE_I8) bytes += s->n_row * sizeof(float);
    *(p->row         ? &info->table_bytes
      : p->is_matrix ? &info->matrix_bytes
                     : &info->other_bytes) += bytes;
    if (p->group != MN__PARAM_STATE) info->n_params += mn__param_size(p);
}

static void put_param(mn__gguf_writer *w, mn__param *p, const shape *s, enum ggml_type type)
{
    char name[MN__PARAM_NAME + 8];
    mn__gguf_source source = {.floats = p->w};
    if (p->is_turned) source = (mn__gguf_source){.fill_floats = fill_turned, .ctx = p};
    if (type == GGML_TYPE_I8) {
        source = (mn__gguf_source){.fill_bytes = fill_bytes, .ctx = p};
        snprintf(name, sizeof name, "%s" MN__SCALE_SUFFIX, p->name);
        mn__gguf_add_tensor(w, name, GGML_TYPE_F32, (const int64_t[4]){1, (int64_t)s->n_row, 1, 1},
                            &(mn__gguf_source){.fill_floats = fill_scales, .ctx = p});
    }
    mn__gguf_add_tensor(w, p->name, type, s->ne, &source);
}

/* ---- the file ---- */

static void put_notes(mn__gguf_writer *w, const mn__config *c, const mn_export_info *info,
                      const char *name)
{
    char arch[32], own[96];
    for (size_t i = 0; i < mn__config_count(); i++)
        if (strcmp(mn__config_at(i)->name, "model.arch") == 0)
            mn__config_value(c, mn__config_at(i), arch, sizeof arch);
    snprintf(own, sizeof own, "%s of width %zu, %zu blocks", arch, c->model_width, c->model_blocks);
    mn__gguf_set_str(w, "general.name", name ? name : own);
    mn__gguf_set_u64(w, "training.step", info->step);
    mn__gguf_set_u64(w, "training.tokens", info->tokens);
}

static mn_status write_model(const mn__learner *l, const char *out, const mn__tokenizer *tokenizer,
                             const mn_export_params *how, const mn_export_info *info, mn_diag *diag)
{
    mn_status st;
    mn__gguf_writer *w = NULL;
    MN_TRY(mn__gguf_writer_new(&w, diag));
    mn__config_put(&l->config, w);
    put_notes(w, &l->config, info, how->name);
    mn__tokenizer_put(tokenizer, w);
    for (size_t i = 0; i < l->list.n; i++) {
        const shape s = shape_of(l->list.at[i]);
        put_param(w, l->list.at[i], &s, type_of(l->list.at[i], &s, how));
    }
    MN_TRY(mn__gguf_write(w, out, diag));
done:
    mn__gguf_writer_free(w);
    return st;
}

/* A name that GGUF has no room for would be found only while writing. */
static mn_status count_model(const mn__checkpoint_model *m, const mn_export_params *how,
                             mn_export_info *info, mn_diag *diag)
{
    const mn__config *c = &m->learner->config;
    *info = (mn_export_info){.step = m->step};
    info->tokens = m->step * c->train_batch * c->train_length * c->train_passes;
    for (size_t i = 0; i < m->learner->list.n; i++) {
        const mn__param *p = m->learner->list.at[i];
        const shape s = shape_of(p);
        if (strlen(p->name) + sizeof MN__SCALE_SUFFIX > GGUF_NAME)
            return mn__fail(diag, MN_ERANGE, "parameter %s: a name of at most %zu bytes wanted",
                            p->name, GGUF_NAME - sizeof MN__SCALE_SUFFIX);
        count(p, &s, type_of(p, &s, how), info);
    }
    return MN_OK;
}

/* tokenizer.gguf in a checkpoint's folder. */
static bool beside_of(const char *checkpoint, char out[PATH_MAX])
{
    const char *slash = strrchr(checkpoint, '/');
    const int n = slash ? (int)(slash - checkpoint) + 1 : 0;
    return snprintf(out, PATH_MAX, "%.*stokenizer.gguf", n, checkpoint) < PATH_MAX;
}

/* The one asked for, the one in the training's folder, or the one that its config names. */
static mn_status open_tokenizer(const mn__config *c, const char *path, const char *checkpoint,
                                mn__tokenizer *out, mn_diag *diag)
{
    char beside[PATH_MAX];
    const bool fits = beside_of(checkpoint, beside);
    if (!path && fits && access(beside, F_OK) == 0) path = beside;
    if (!path) path = c->data_tokenizer;
    if (!*path)
        return mn__fail(
            diag, MN_EUSAGE,
            "a tokenizer is wanted: none stands beside the checkpoint, which names none either (data.tokenizer)");
    const mn_status st = mn__tokenizer_open(out, path, diag);
    if (st != MN_OK || (size_t)out->n_token == c->model_vocab) return st;
    const int32_t found = out->n_token;
    mn__tokenizer_close(out);
    return mn__fail(diag, MN_EINPUT, "%s: a tokenizer of %zu tokens wanted, %d found", path,
                    c->model_vocab, found);
}

static mn_status file_of(const char *path, char out[PATH_MAX], mn_diag *diag)
{
    struct stat s;
    const bool is_folder = stat(path, &s) == 0 && S_ISDIR(s.st_mode);
    if (snprintf(out, PATH_MAX, "%s%s", path, is_folder ? "/checkpoint.gguf" : "") < PATH_MAX)
        return MN_OK;
    return mn__fail(diag, MN_EUSAGE, "%.100s...: a shorter path wanted", path);
}

mn_status mn_export(const char *checkpoint, const char *out, const mn_export_params *params,
                    mn_export_info *info, mn_diag *diag)
{
    mn_status st;
    const mn_export_params how = params ? *params : (mn_export_params){0};
    mn__checkpoint_model m = {0};
    mn__tokenizer tokenizer = {0};
    mn_export_info own;
    char path[PATH_MAX];
    if (!info) info = &own;
    MN_TRY(file_of(checkpoint, path, diag));
    MN_TRY(mn__checkpoint_open(&m, path, diag));
    MN_TRY(count_model(&m, &how, info, diag));
    if (how.plan_only) goto done;
    MN_TRY(open_tokenizer(&m.learner->config, how.tokenizer, path, &tokenizer, diag));
    MN_TRY(write_model(m.learner, out, &tokenizer, &how, info, diag));
done:
    mn__tokenizer_close(&tokenizer);
    mn__checkpoint_close(&m);
    return st;
}
