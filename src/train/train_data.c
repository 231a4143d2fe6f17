/* train_data.c: corpus -> tokenizer -> shards -> rows. A file that was made is named by the hash of
 * what it was made of, so that another corpus, share or tokenizer makes another file, and a second
 * start finds the first one's. */
#include "train/train_data.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "train/text_files.h"

enum {
    FORMAT = 1, /* of what names are made of */
    LEARNT_VOCAB = 8192,
    LEARNT_SEED = 1 /* of the sample of lines: one tokenizer for runs of any seed */
};

/* ---- reading, watched ---- */

typedef struct reading {
    const mn__data_watch *watch;
    const char *what;
    uint64_t total; /* bytes */
} reading;

static bool on_read(void *ctx, uint64_t n_read)
{
    const reading *r = ctx;
    if (r->watch->tick) r->watch->tick(r->watch->ctx, r->what, n_read, r->total);
    return r->watch->stop && r->watch->stop(r->watch->ctx);
}

/* One side of a corpus. */
typedef struct texts {
    const mn__text_files *files;
    mn__documents_params params;
} texts;

static uint64_t identity_of(const texts *t, uint64_t more)
{
    const uint64_t numbers[] = {FORMAT, t->files->identity, more, t->params.tells_held};
    uint64_t hash = mn__hash64(numbers, sizeof numbers, 0);
    hash = mn__hash64(&t->params.held_share, sizeof t->params.held_share, hash);
    return mn__hash64(t->params.field, strlen(t->params.field), hash);
}

static mn_status file_name(char out[PATH_MAX], const char *folder, const char *kind, uint64_t hash,
                           mn_diag *diag)
{
    const char *end = strcmp(kind, "tokenizer") == 0 ? "gguf" : "shard";
    if (snprintf(out, PATH_MAX, "%s/%s-%016" PRIx64 ".%s", folder, kind, hash, end) >= PATH_MAX)
        return mn__fail(diag, MN_EUSAGE, "%s: too long a folder's name", folder);
    return MN_OK;
}

/* ---- tokenizer ---- */

static mn_status learn(const mn__config *c, const char *folder, const texts *t, reading *r,
                       char path[PATH_MAX], mn_diag *diag)
{
    const mn__tokenizer_params p = {
        .n_vocab = (int32_t)(c->model_vocab ? c->model_vocab : LEARNT_VOCAB), .seed = LEARNT_SEED};
    mn_status st = file_name(path, folder, "tokenizer", identity_of(t, (uint64_t)p.n_vocab), diag);
    if (st != MN_OK || !access(path, F_OK)) return st;
    r->what = "learning a tokenizer";
    r->total = t->files->bytes;
    return mn__tokenizer_learn(path, (const char *const *)t->files->path, t->files->n, &t->params,
                               &p, diag);
}

static mn_status open_tokenizer(mn__train_data *d, const mn__config *c, const char *path,
                                mn_diag *diag)
{
    const mn_status st = mn__tokenizer_open(&d->tokenizer, path, diag);
    if (st != MN_OK) return st;
    if (c->model_vocab && c->model_vocab < (size_t)d->tokenizer.n_token)
        return mn__fail(diag, MN_ERANGE,
                        "model.vocab: at least the %" PRId32 " tokens of %s wanted, %zu found",
                        d->tokenizer.n_token, path, c->model_vocab);
    return MN_OK;
}

/* ---- shards ---- */

static mn_status add_shard(mn__data_side *side, const char *path, uint64_t vocab_hash,
                           mn_diag *diag)
{
    enum { HEAD_BYTES = 128 };
    mn__shard s;
    const mn_status st = mn__shard_open(&s, path, vocab_hash, diag);
    if (st != MN_OK) return st;
    side->shard[side->n++] = s;
    side->n_token += s.info.n_token;
    side->n_document += s.info.n_document;
    /* The head holds counts and the sum of all tokens. */
    side->source.identity = mn__hash64(s.map.data, HEAD_BYTES, side->source.identity);
    return MN_OK;
}

static mn_status make_room(mn__data_side *side, size_t n, mn_diag *diag)
{
    side->shard = mn__alloc_array(MN_MEM_OTHER, n, sizeof *side->shard);
    return side->shard ? MN_OK : mn__fail(diag, MN_ENOMEM, "no memory for %zu shards", n);
}

/* The shard of a side, made where it is not there. MN_EUSAGE: it has no document. */
static mn_status make_side(mn__train_data *d, mn__data_side *side, const char *folder,
                           const texts *t, reading *r, mn_diag *diag)
{
    mn_status st;
    char path[PATH_MAX];
    MN_TRY(file_name(path, folder, "tokens", identity_of(t, d->tokenizer.hash), diag));
    if (access(path, F_OK)) {
        r->what = side == &d->valid ? "writing tokens to validate on" : "writing tokens";
        r->total = t->files->bytes;
        MN_TRY(mn__tokenizer_shard(&d->tokenizer, path, (const char *const *)t->files->path,
                                   t->files->n, &t->params, NULL, diag));
    }
    MN_TRY(make_room(side, 1, diag));
    st = add_shard(side, path, d->tokenizer.hash, diag);
    if (st == MN_EINPUT) {
        const mn_diag why = *diag;
        mn__fail(diag, st, "%.900s; without this file, it is made again", why.text);
    }
done:
    return st;
}

/* Too few documents for one to be held out, a book for one: then it is the end of the corpus. */
static mn_status hold_end(mn__train_data *d, const char *folder, const texts *t, reading *r,
                          mn_diag *diag)
{
    texts all = *t;
    const double share = t->params.held_share;
    all.params.tells_held = false; /* none is */
    const mn_status st = make_side(d, &d->valid, folder, &all, r, diag);
    if (st != MN_OK) return st;
    d->train.end = d->valid.begin = 1 - share;
    d->valid.source.identity = mn__hash64(&share, sizeof share, d->valid.source.identity);
    d->valid.n_document = 0;
    d->valid.n_token = (uint64_t)(share * (double)d->train.n_token);
    d->train.n_token -= d->valid.n_token;
    return MN_OK;
}

static mn_status make_held(mn__train_data *d, const char *folder, const texts *t, reading *r,
                           mn_diag *diag)
{
    const mn_status st = make_side(d, &d->valid, folder, t, r, diag);
    return st == MN_EUSAGE && t->params.held_share > 0 ? hold_end(d, folder, t, r, diag) : st;
}

static mn_status open_folder(mn__data_side *side, const char *folder, uint64_t vocab_hash,
                             mn_diag *diag)
{
    static const char *const ends[] = {".shard", NULL};
    mn_status st;
    mn__text_files files = {0};
    MN_TRY(mn__text_files_add_folder(&files, folder, ends, diag));
    if (!files.n)
        MN_TRY(
            mn__fail(diag, MN_EINPUT, "%s: token shards (NAME.shard) wanted, none found", folder));
    MN_TRY(make_room(side, files.n, diag));
    for (size_t i = 0; i < files.n; i++) MN_TRY(add_shard(side, files.path[i], vocab_hash, diag));
done:
    mn__text_files_free(&files);
    return st;
}

/* ---- all of it ---- */

static mn_status check(const mn__config *c, mn_diag *diag)
{
    if (!*c->data_corpus == !*c->data_train)
        return mn__fail(diag, MN_EUSAGE,
                        "data.corpus, files or folders of text, or else data.train, a folder of "
                        "token shards, wanted: %s found",
                        *c->data_corpus ? "both" : "neither");
    if (*c->data_train && !*c->data_tokenizer)
        return mn__fail(diag, MN_EUSAGE,
                        "data.tokenizer: the tokenizer of the shards in data.train wanted, none "
                        "found");
    if (*c->data_train ? *c->data_valid_corpus != 0 : *c->data_valid != 0)
        return mn__fail(diag, MN_EUSAGE,
                        "data.valid goes with data.train, data.valid_corpus with data.corpus");
    return MN_OK;
}

static mn_status open_shards(mn__train_data *d, const mn__config *c, mn_diag *diag)
{
    mn_status st;
    MN_TRY(open_tokenizer(d, c, c->data_tokenizer, diag));
    MN_TRY(open_folder(&d->train, c->data_train, d->tokenizer.hash, diag));
    if (*c->data_valid) MN_TRY(open_folder(&d->valid, c->data_valid, d->tokenizer.hash, diag));
done:
    return st;
}

static mn_status make_shards(mn__train_data *d, const mn__config *c, const char *folder,
                             const mn__data_watch *watch, mn_diag *diag)
{
    mn_status st;
    char learnt[PATH_MAX];
    mn__text_files files = {0}, valid_files = {0};
    reading r = {.watch = watch};
    texts t = {&files, {.field = c->data_field, .stop = on_read, .ctx = &r}};
    MN_TRY(mn__text_files_list(&files, c->data_corpus, "data.corpus", diag));
    if (*c->data_valid_corpus)
        MN_TRY(mn__text_files_list(&valid_files, c->data_valid_corpus, "data.valid_corpus", diag));
    else
        t.params.held_share = c->data_valid_share;
    if (!*c->data_tokenizer) MN_TRY(learn(c, folder, &t, &r, learnt, diag));
    MN_TRY(open_tokenizer(d, c, *c->data_tokenizer ? c->data_tokenizer : learnt, diag));
    st = make_side(d, &d->train, folder, &t, &r, diag);
    if (st == MN_EUSAGE && t.params.held_share > 0)
        mn__fail(diag, st,
                 "data.valid_share: documents to learn from wanted, all held out found: another "
                 "share than %g, or data.valid_corpus",
                 t.params.held_share);
    MN_TRY(st);
    t.params.tells_held = true;
    if (valid_files.n) t.files = &valid_files;
    if (valid_files.n || t.params.held_share > 0) MN_TRY(make_held(d, folder, &t, &r, diag));
done:
    mn__text_files_free(&files);
    mn__text_files_free(&valid_files);
    return st;
}

mn_status mn__train_data_open(mn__train_data *out, const mn__config *c, const char *dir,
                              const mn__data_watch *watch, mn_diag *diag)
{
    mn_status st;
    mn__train_data d = {0};
    const char *folder = *c->data_shards ? c->data_shards : dir;
    *out = d;
    MN_TRY(check(c, diag));
    if (*c->data_train) {
        MN_TRY(open_shards(&d, c, diag));
    } else {
        MN_TRY(mn__folder_make(folder, diag));
        MN_TRY(make_shards(&d, c, folder, watch, diag));
    }
    /* What is validated on belongs to the curve that a checkpoint goes on with. */
    d.train.source.identity =
        mn__hash64(&d.valid.source.identity, sizeof(uint64_t), d.train.source.identity);
    *out = d;
    return MN_OK;
done:
    mn__train_data_close(&d);
    return st;
}

static mn_status fill(mn__row_source *self, size_t step, size_t row, size_t length, int32_t *out,
                      mn_diag *diag)
{
    const mn__data_side *side = (const mn__data_side *)self;
    (void)length, (void)diag;
    mn__batches_row(&side->rows, step, row, out);
    return MN_OK;
}

static mn_status begin_side(mn__data_side *side, const mn__config *c, size_t n_row, mn_diag *diag)
{
    const mn__batch_params p = {.shard = side->shard,
                                .n_shard = side->n,
                                .len = c->train_length,
                                .n_row = n_row,
                                .seed = c->train_seed,
                                .begin = side->begin,
                                .end = side->end};
    side->source.fill = fill;
    return mn__batches_init(&side->rows, &p, diag);
}

mn_status mn__train_data_begin(mn__train_data *d, mn__config *c, mn_diag *diag)
{
    mn_status st = begin_side(&d->train, c, c->train_batch * c->train_passes, diag);
    if (st != MN_OK || !d->valid.n) return st;
    st = begin_side(&d->valid, c, c->report_valid_rows, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "to validate on");
        return st;
    }
    /* Each once: a window that came again would count twice. */
    if (d->valid.rows.n_window < c->report_valid_rows)
        d->valid.rows.p.n_row = c->report_valid_rows = (size_t)d->valid.rows.n_window;
    return MN_OK;
}

static void close_side(mn__data_side *side)
{
    mn__batches_fini(&side->rows);
    for (size_t i = 0; i < side->n; i++) mn__shard_close(&side->shard[i]);
    mn__free(side->shard);
}

void mn__train_data_close(mn__train_data *d)
{
    close_side(&d->train);
    close_side(&d->valid);
    mn__tokenizer_close(&d->tokenizer);
    *d = (mn__train_data){0};
}
