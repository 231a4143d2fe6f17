/* tokenizer_learn.c: lines of a corpus to SentencePiece, its pieces to keys of a GGUF file. */
#include <inttypes.h>
#include <string.h>

#include "base/diag.h"
#include "base/heap.h"
#include "train/tokenizer.h"

#ifdef MN_HAVE_SENTENCEPIECE

#include "base/rng.h"
#include "text/train_tokenizer.h"

enum {
    PURPOSE = 0x6c696e65, /* "line" */
    VOCAB_MIN = 320,      /* 258 and some characters */
    VOCAB_MAX = 1 << 18,
    SAMPLE_BYTES = 16 << 20
};
#define COVERAGE 0.9995

/* ---- the sample ---- */

typedef struct lines {
    mn__documents *documents;
    mn__document_part part; /* what is left of it */
    uint64_t i_line;
    uint64_t n_told; /* bytes */
    uint64_t seed;
    double share; /* of lines that are told */
    mn_status st; /* the first failure ends the lines */
    mn_diag *diag;
} lines;

/* The line that begins a part, or as much of it as the trainer takes. */
static size_t line_bytes(const char *text, size_t n)
{
    const char *end = memchr(text, '\n', n);
    if (end) n = (size_t)(end - text);
    if (n <= MN__SPM_LINE_BYTES) return n;
    n = MN__SPM_LINE_BYTES;
    while (((unsigned char)text[n] & 0xC0) == 0x80) n--;
    return n;
}

static bool next_line(void *ctx, const char **line, size_t *n)
{
    lines *l = ctx;
    bool found = true;
    while (l->st == MN_OK) {
        if (!l->part.n) {
            l->st = mn__documents_next(l->documents, &l->part, &found, l->diag);
            if (l->st != MN_OK || !found) return false;
            continue;
        }
        *line = l->part.text;
        *n = line_bytes(l->part.text, l->part.n);
        size_t step = *n < l->part.n && l->part.text[*n] == '\n' ? *n + 1 : *n;
        l->part.text += step;
        l->part.n -= step;
        if (!*n || mn__rng_uniform(l->seed, PURPOSE, l->i_line++, 0) >= l->share) continue;
        l->n_told += *n;
        return true;
    }
    return false;
}

/* Bytes of all lines: the share of them to draw follows. */
static mn_status count_bytes(const char *const *path, size_t n_path, const mn__documents_params *p,
                             uint64_t *bytes, mn_diag *diag)
{
    const char *line;
    size_t n;
    lines l = {.share = 1, .diag = diag};
    l.st = mn__documents_open(&l.documents, path, n_path, p, diag);
    while (next_line(&l, &line, &n)) {
    }
    mn__documents_close(l.documents);
    *bytes = l.n_told;
    return l.st;
}

/* ---- the model as keys ---- */

typedef struct table {
    const char **text;
    float *score;
    int32_t *type;
} table;

static mn_status fill_table(table *t, const mn__spm *model, mn_diag *diag)
{
    const int32_t n = mn__spm_n(model);
    t->text = mn__alloc_array(MN_MEM_OTHER, (size_t)n, sizeof *t->text);
    t->score = mn__alloc_array(MN_MEM_OTHER, (size_t)n, sizeof *t->score);
    t->type = mn__alloc_array(MN_MEM_OTHER, (size_t)n, sizeof *t->type);
    if (!t->text || !t->score || !t->type)
        return mn__fail(diag, MN_ENOMEM, "no memory for a vocabulary of %" PRId32 " tokens", n);
    for (int32_t i = 0; i < n; i++) {
        t->text[i] = mn__spm_text(model, i);
        t->score[i] = mn__spm_score(model, i);
        t->type[i] = mn__spm_type(model, i);
    }
    return MN_OK;
}

static mn_status write_model(const mn__spm *model, const char *out, mn_diag *diag)
{
    const size_t n = (size_t)mn__spm_n(model);
    mn__gguf_writer *w = NULL;
    table t = {0};
    mn_status st;
    MN_TRY(mn__gguf_writer_new(&w, diag));
    MN_TRY(fill_table(&t, model, diag));
    mn__gguf_set_str(w, "general.architecture", "mneme-tokenizer");
    mn__gguf_set_str(w, "tokenizer.ggml.model", "llama");
    mn__gguf_set_str(w, "tokenizer.ggml.pre", "default");
    mn__gguf_set_strs(w, "tokenizer.ggml.tokens", t.text, n);
    mn__gguf_set_array(w, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, t.score, n);
    mn__gguf_set_array(w, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, t.type, n);
    mn__gguf_set_u32(w, "tokenizer.ggml.unknown_token_id", MN__SPM_UNKNOWN);
    mn__gguf_set_u32(w, "tokenizer.ggml.bos_token_id", MN__SPM_END);
    mn__gguf_set_u32(w, "tokenizer.ggml.eos_token_id", MN__SPM_END);
    /* A text begins behind the end of another one: so it is in training. */
    mn__gguf_set_bool(w, "tokenizer.ggml.add_bos_token", true);
    mn__gguf_set_bool(w, "tokenizer.ggml.add_eos_token", false);
    mn__gguf_set_bool(w, "tokenizer.ggml.add_space_prefix", false);
    MN_TRY(mn__gguf_write(w, out, diag));
done:
    mn__gguf_writer_free(w);
    mn__free(t.text);
    mn__free(t.score);
    mn__free(t.type);
    return st;
}

static mn_status check_params(const mn__tokenizer_params *p, mn_diag *diag)
{
    if (p->n_vocab < VOCAB_MIN || p->n_vocab > VOCAB_MAX)
        return mn__fail(diag, MN_EUSAGE,
                        "a vocabulary of %d to %d tokens wanted, %" PRId32 " found", VOCAB_MIN,
                        VOCAB_MAX, p->n_vocab);
    if (p->coverage != 0 && !(p->coverage > 0.98 && p->coverage <= 1))
        return mn__fail(diag, MN_EUSAGE, "a coverage above 0.98 and up to 1 wanted, %g found",
                        p->coverage);
    return MN_OK;
}

mn_status mn__tokenizer_learn(const char *out, const char *const *path, size_t n_path,
                              const mn__documents_params *documents,
                              const mn__tokenizer_params *params, mn_diag *diag)
{
    char why[512];
    uint64_t bytes = 0, sample = params->sample_bytes ? params->sample_bytes : SAMPLE_BYTES;
    mn__spm *model = NULL;
    lines l = {.seed = params->seed, .diag = diag};
    const mn__spm_params p = {.n_vocab = params->n_vocab,
                              .coverage = params->coverage != 0 ? params->coverage : COVERAGE,
                              .next = next_line,
                              .ctx = &l};
    mn_status st;
    MN_TRY(check_params(params, diag));
    MN_TRY(count_bytes(path, n_path, documents, &bytes, diag));
    l.share = (double)sample / (double)bytes;
    MN_TRY(mn__documents_open(&l.documents, path, n_path, documents, diag));
    bool learned = mn__spm_train(&model, &p, why, sizeof why);
    MN_TRY(l.st);
    if (!learned) {
        mn__make_printable(why, ' ');
        MN_TRY(mn__fail(diag, MN_EINPUT,
                        "no tokenizer of %" PRId32 " tokens from a sample of %" PRIu64 " bytes: %s",
                        params->n_vocab, l.n_told, why));
    }
    MN_TRY(write_model(model, out, diag));
done:
    mn__documents_close(l.documents);
    mn__spm_free(model);
    return st;
}

#else

mn_status mn__tokenizer_learn(const char *out, const char *const *path, size_t n_path,
                              const mn__documents_params *documents,
                              const mn__tokenizer_params *params, mn_diag *diag)
{
    (void)path;
    (void)n_path;
    (void)documents;
    (void)params;
    return mn__fail(diag, MN_EINPUT,
                    "%s: this mneme was built without SentencePiece: apt-get install "
                    "libsentencepiece-dev, and build again; or take the tokenizer of a GGUF file",
                    out);
}

#endif
